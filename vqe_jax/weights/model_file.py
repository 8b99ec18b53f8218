"""Model files: one ``.safetensors`` that is enough to run a network.

The tensors carry the variables (``params/...``, ``batch_stats/...``); the metadata carries the
network's name and keyword arguments, the colour space, the training QP, the source, and a
checksum of the tensors, so that a flipped byte is an error and not a slightly wrong picture.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vqe_jax import models
from vqe_jax.errors import UserError, near_misses

__all__ = ["ModelFile", "load_model", "packaged_models", "save_model"]

_FORMAT = "vqe_jax model 1"


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """A network with its weights and what is known about them.

    Attributes:
      model: the network's name, as :func:`vqe_jax.models.build` takes it.
      kwargs: its keyword arguments.
      variables: ``{"params": ..., "batch_stats": ...}``, nested dictionaries of arrays.
      colour: ``"luma"`` or ``"rgb"``: what its input channels are.
      qp: the QPs it was trained at.
      source: where the weights come from, in words.
      extra: anything else worth keeping (the training config, say); JSON.
    """

    model: str
    kwargs: dict[str, Any]
    variables: dict[str, Any]
    colour: str = "luma"
    qp: tuple[int, ...] = ()
    source: str = ""
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    def build(self) -> models.Network:
        """The network as a module, ready for ``module.apply(file.variables, clip)``."""
        return models.build(self.model, **self.kwargs)


def _flatten(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    # Views would be written as their memory lies.
    return {path: np.asarray(x, order="C") for path, x in flatten_dict(tree, sep="/").items()}


def _checksum(flat: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(flat):
        digest.update(f"{name} {flat[name].dtype} {flat[name].shape}\n".encode())
        digest.update(flat[name].tobytes())
    return digest.hexdigest()


def _tuples(value: Any) -> Any:
    """JSON has no tuples and linen fields must be hashable: lists become tuples."""
    if isinstance(value, list):
        return tuple(_tuples(v) for v in value)
    return value


def save_model(path: str | os.PathLike[str], file: ModelFile) -> None:
    """Writes a model file; the old one, if any, is replaced only when the new one is complete.

    Args:
      path: where to; parent folders are made.
      file: the network and its weights.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    flat = _flatten(file.variables)
    metadata = {
        "format": _FORMAT,
        "model": file.model,
        "kwargs": json.dumps(file.kwargs, sort_keys=True),
        "colour": file.colour,
        "qp": json.dumps(list(file.qp)),
        "source": file.source,
        "extra": json.dumps(file.extra, sort_keys=True),
        "sha256": _checksum(flat),
    }
    part = path.with_name(path.name + ".part")
    try:
        save_file(flat, part, metadata=metadata)
        part.chmod(0o644)  # safetensors leaves it readable by its owner alone
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def packaged_models() -> dict[str, Path]:
    """The model files that come with the package, by name."""
    folder = Path(str(importlib.resources.files("vqe_jax.weights"))) / "packaged"
    return {p.stem: p for p in sorted(folder.glob("*.safetensors"))}


def load_model(name_or_path: str | os.PathLike[str], *, expect: str | None = None) -> ModelFile:
    """Reads a packaged model by name, or a model file by path.

    Args:
      name_or_path: ``"vig_qp37"`` or a path to a ``.safetensors`` file.
      expect: the network it should hold, where only one will do.

    Returns:
      The network and its weights.

    Raises:
      UserError: no such model, not a model file, another network, cut short or damaged.
    """
    packaged = packaged_models()
    path = packaged.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        hint = near_misses(str(name_or_path), packaged)
        raise UserError(f"model {str(name_or_path)!r} is neither a file nor a packaged model{hint}")
    if path.suffix in (".pth", ".pt"):
        raise UserError(
            f"{path} is a PyTorch checkpoint; convert it to a model file: "
            f"python -m vqe_jax.weights convert NETWORK {path} {path.stem}.safetensors"
        )
    try:
        with safe_open(path, framework="np") as tensors:
            metadata = tensors.metadata() or {}
            flat = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as err:
        raise UserError(f"model file {path} cannot be read ({err}); is it cut short?") from None
    if metadata.get("format") != _FORMAT:
        raise UserError(
            f"{path} is a safetensors file but not a vqe_jax model file; convert it "
            "with python -m vqe_jax.weights"
        )
    if metadata["sha256"] != _checksum(flat):
        raise UserError(
            f"model file {path} is damaged: its tensors do not match its checksum; "
            "copy or download it again"
        )
    if expect is not None and metadata["model"] != expect:
        raise UserError(f"model file {path} holds {metadata['model']!r}, expected {expect!r}")
    return ModelFile(
        model=metadata["model"],
        kwargs={k: _tuples(v) for k, v in json.loads(metadata["kwargs"]).items()},
        variables=unflatten_dict(flat, sep="/"),
        colour=metadata["colour"],
        qp=tuple(json.loads(metadata["qp"])),
        source=metadata["source"],
        extra=json.loads(metadata["extra"]),
    )
