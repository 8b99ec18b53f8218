"""The API reference from the docstrings: ``make docs`` writes it to build/api.

Warnings are errors, but for annotations of inherited constructors, which pdoc looks up in the wrong
module.
"""

from __future__ import annotations

import pkgutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pdoc

import vqe_jax


def modules() -> Iterator[str]:
    """The public modules of the package; commands and recipes are documented elsewhere."""
    yield vqe_jax.__name__
    for found in pkgutil.walk_packages(vqe_jax.__path__, "vqe_jax."):
        parts = found.name.split(".")
        if not any(part.startswith("_") for part in parts) and "recipes" not in parts:
            yield found.name


def main(folder: Path) -> None:
    """Writes one page a module."""
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", message="Error parsing type annotation")
    for name in ("enhance", "enhance_video"):  # imported on use: pdoc looks at what is there
        setattr(vqe_jax, name, getattr(vqe_jax, name))
    pdoc.render.configure(docformat="google", show_source=False)
    specs: dict[str, list[str]] = {}
    for name in modules():  # a package whose __all__ names modules brings these along
        if not any(name in found for found in specs.values()):
            specs[name] = list(pdoc.extract.walk_specs([name]))
    pdoc.pdoc(*specs, output_directory=folder)
    print(f"{sum(1 for _ in folder.rglob('*.html'))} pages in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/api"))
