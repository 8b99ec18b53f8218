"""Model files: one ``.safetensors`` that is enough to run a network.

The tensors carry the variables (``params/...``, ``batch_stats/...``); the metadata carries the
network's name and keyword arguments, the color space, the training QP, the source, and a checksum
over all of that, so that a flipped byte is an error and not a slightly wrong picture.
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
from safetensors.numpy import save

from vqe_jax import models
from vqe_jax.errors import UserError, near_misses
from vqe_jax.files import replacing
from vqe_jax.weights.fitness import check_network

__all__ = [
    "DEFAULT_MODEL",
    "ModelFile",
    "check_model",
    "load_model",
    "packaged_models",
    "read_model",
    "save_model",
]

# For files of any encoder and quality; the others are for one kind.
DEFAULT_MODEL = "any"

_FORMAT = "vqe_jax model 2"
_UNSIGNED = "vqe_jax model 1"
# Fields that networks had once and that files still name; none changes what a trained network does:
# how training began is the affair of a stage's ``init``, and VIG has one form.
_GONE = frozenset({"weight_init", "zero_output", "form"})


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """A network with its weights and what is known about them.

    Attributes:
      model: the network's name, as :func:`vqe_jax.models.build` takes it.
      kwargs: its keyword arguments.
      variables: ``{"params": ..., "batch_stats": ...}``, nested dictionaries of arrays.
      color: ``"luma"`` or ``"rgb"``: what its input channels are.
      qp: the QPs it was trained at.
      source: where the weights come from, in words.
      extra: anything else worth keeping (the training config, say); JSON.
    """

    model: str
    kwargs: dict[str, Any]
    variables: dict[str, Any]
    color: str = "luma"
    qp: tuple[int, ...] = ()
    source: str = ""
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)

    def build(self) -> models.Network:
        """The network as a module, ready for ``module.apply(file.variables, clip)``."""
        return models.build(self.model, **self.kwargs)


def _flatten(tree: Mapping[str, Any]) -> dict[str, np.ndarray]:
    # Views would be written as their memory lies.
    return {path: np.asarray(x, order="C") for path, x in flatten_dict(tree, sep="/").items()}


def _checksum(flat: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """SHA-256 over the metadata but for the checksum itself, and over the tensors."""
    digest = hashlib.sha256()
    signed = {k: v for k, v in metadata.items() if k != "sha256"}
    if signed:
        digest.update(json.dumps(signed, sort_keys=True).encode())
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
    """
    flat = _flatten(file.variables)
    metadata = {
        "format": _FORMAT,
        "model": file.model,
        "kwargs": json.dumps(file.kwargs, sort_keys=True),
        "color": file.color,
        "qp": json.dumps(list(file.qp)),
        "source": file.source,
        "extra": json.dumps(file.extra, sort_keys=True),
    }
    metadata["sha256"] = _checksum(flat, metadata)
    with replacing(path) as part:
        part.write_bytes(save(flat, metadata=metadata))


def check_model(file: ModelFile, where: str) -> None:
    """Refuses fields out of bounds, and weights that are not those of the network.

    Raises:
      UserError: names the first thing that is wrong.
    """
    channels = check_network(file.model, file.kwargs, _flatten(file.variables), where)
    if (channels == 1) != (file.color == "luma"):
        raise UserError(f"{where}: color={file.color!r}, but its network has {channels} channels")


def packaged_models() -> dict[str, Path]:
    """The model files that come with the package, by name."""
    folder = Path(str(importlib.resources.files("vqe_jax.weights"))) / "packaged"
    return {p.stem: p for p in sorted(folder.glob("*.safetensors"))}


def load_model(name_or_path: str | os.PathLike[str], *, expect: str | None = None) -> ModelFile:
    """Reads a packaged model by name, or a model file by path.

    Args:
      name_or_path: ``"vig_qp37"``, a path to a ``.safetensors`` file, or the work directory of a
        training run: its ``best.safetensors``, or ``last.safetensors`` where none was chosen yet.
      expect: the network it should hold, where only one will do.

    Returns:
      The network and its weights.

    Raises:
      UserError: no such model, not a model file, another network, cut short or damaged, or fields
        and weights that do not make a network.
    """
    path = _find(name_or_path)
    file = read_model(path)
    if expect is not None and file.model != expect:
        raise UserError(f"model file {path} holds {file.model!r}, expected {expect!r}")
    check_model(file, f"model file {path}")
    return file


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    packaged = packaged_models()
    path = packaged.get(str(name_or_path), Path(name_or_path))
    if path.is_dir():
        found = [path / f"{n}.safetensors" for n in ("best", "last")]
        found = [p for p in found if p.is_file()]
        if not found:
            raise UserError(f"{path} is a folder without a best.safetensors or last.safetensors")
        return found[0]
    if not path.is_file():
        hint = near_misses(str(name_or_path), packaged)
        raise UserError(f"model {str(name_or_path)!r} is neither a file nor a packaged model{hint}")
    if path.suffix in (".pth", ".pt"):
        raise UserError(
            f"{path} is a PyTorch checkpoint; convert it to a model file: "
            f"python -m vqe_jax.weights convert NETWORK {path} {path.stem}.safetensors"
        )
    return path


def read_model(path: Path, *, unsigned: bool = False) -> ModelFile:
    """Reads a model file and compares it with its checksum; the network is not built.

    Args:
      unsigned: take the files of earlier versions, whose checksum is of the tensors alone.

    Raises:
      UserError: not a model file, cut short, damaged, or with metadata of another kind.
    """
    if not path.is_file():
        raise UserError(f"model file {path} does not exist")
    try:
        with safe_open(path, framework="np") as tensors:
            metadata = tensors.metadata() or {}
            flat = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, ValueError, OverflowError) as err:
        reason = " ".join(str(err).split())[:200]
        raise UserError(f"model file {path} cannot be read ({reason}); is it cut short?") from None
    version = metadata.get("format")
    if version == _UNSIGNED and not unsigned:
        raise UserError(
            f"model file {path} is of an earlier version, whose description nothing vouches for; "
            f"where you trust it: python -m vqe_jax.weights sign {path} NEW.safetensors"
        )
    if version != _FORMAT and not (unsigned and version == _UNSIGNED):
        raise UserError(
            f"{path} is a safetensors file but not a vqe_jax model file; convert it "
            "with python -m vqe_jax.weights"
        )
    signed = metadata if version == _FORMAT else {}
    if metadata.get("sha256") != _checksum(flat, signed):
        raise UserError(
            f"model file {path} is damaged: it does not match its checksum; copy or download it "
            "again"
        )
    return _described(path, metadata, flat)


def _described(path: Path, metadata: Mapping[str, str], flat: dict[str, np.ndarray]) -> ModelFile:
    try:
        kwargs, qp = json.loads(metadata["kwargs"]), json.loads(metadata["qp"])
        file = ModelFile(
            model=metadata["model"],
            kwargs={k: _tuples(v) for k, v in kwargs.items() if k not in _GONE},
            variables=unflatten_dict(flat, sep="/"),
            color=metadata.get("color") or metadata["colour"],
            qp=tuple(int(q) for q in qp),
            source=metadata["source"],
            extra=dict(json.loads(metadata["extra"])),
        )
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError) as err:
        reason = f"lacks {err}" if isinstance(err, KeyError) else "is of another kind"
        raise UserError(f"model file {path}: its description {reason}") from None
    if file.color not in ("luma", "rgb"):
        raise UserError(f"model file {path}: color={file.color!r}; expected 'luma' or 'rgb'")
    return file
