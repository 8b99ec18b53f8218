"""Finding a recipe by its name or file, and reading it into a ``Run``.

A file is ``get_config(variant) -> ConfigDict`` (or nested dictionaries), Python that is run as
such. The package's own recipes are the files of ``configs/``, found by name wherever it lies.
"""

from __future__ import annotations

import ast
import importlib.util
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqe_jax.errors import UserError, near_misses
from vqe_jax.training.overrides import override
from vqe_jax.training.stages import Run, parse

__all__ = ["about", "load", "names"]

_FOLDER = Path(__file__).parents[1] / "recipes"


def names() -> list[str]:
    """The package's own recipes."""
    return sorted(f.stem for f in _FOLDER.glob("*.py") if f.stem not in ("__init__", "common"))


def about(recipe: str) -> str:
    """What a recipe's file says of itself: the paper, how to train it, its variants.

    Args:
      recipe: see :func:`load`.
    """
    text = _find(recipe.partition(":")[0]).read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(text)) or "the recipe says nothing of itself"


def load(recipe: str, overrides: Sequence[tuple[str, str]] = ()) -> Run:
    """Reads a recipe.

    Args:
      recipe: ``"vig"``, ``"vig:qp32"``, ``"configs/vig.py:qp32"``: a name or a file, and its
        variant.
      overrides: see :func:`vqe_jax.training.overrides.override`.

    Raises:
      UserError: no such recipe, variant or key; a mistake in the file.

    Example:
      >>> load("vig:qp32", [("seed", "3")]).seed
      3
    """
    name, _, variant = recipe.partition(":")
    return override(parse(_run(_find(name), variant)), overrides)


def _find(name: str) -> Path:
    if name in names():
        return _FOLDER / f"{name}.py"
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise UserError(
                f"config {name!r} does not exist{near_misses(Path(name).stem, names())}"
            )
        return Path(name)
    raise UserError(
        f"recipe {name!r} does not exist{near_misses(name, names())}, or name a file, "
        "as configs/vig.py"
    )


def _run(path: Path, variant: str) -> Any:
    """What the file's ``get_config`` gives; its own mistakes are told with their line."""
    spec = importlib.util.spec_from_file_location(f"vqe_config_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return module.get_config(variant) if variant else module.get_config()
    except UserError:
        raise
    except Exception as err:
        lines = [
            f.lineno for f in traceback.extract_tb(err.__traceback__) if f.filename == str(path)
        ]
        place = f"{path}, line {lines[-1]}" if lines else str(path)
        about = f" (variant {variant!r})" if variant else ""
        message = str(err).split("\n")[0]
        raise UserError(f"{place}: {type(err).__name__}: {message}{about}") from err
