"""Official PyTorch tensors into our parameters, and back.

Each network has a file in ``weights/official/`` with one function ``tensors(**kwargs)`` that says
which official tensor every one of our variables is, and in which layout. The rest is here, and it
is strict: a missing, unused or misshapen tensor is an error that names it.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from vqe_jax.errors import UserError

__all__ = [
    "Tensor",
    "batch_norm",
    "conv",
    "conv_transpose",
    "from_torch",
    "linear",
    "prefixed",
    "to_torch",
]


def _same(x: np.ndarray) -> np.ndarray:
    return x


def _axes(*order: int) -> tuple[Callable[[np.ndarray], np.ndarray], ...]:
    back = tuple(int(i) for i in np.argsort(order))
    return (lambda x: np.transpose(x, order)), (lambda x: np.transpose(x, back))


def _transposed_in(x: np.ndarray) -> np.ndarray:
    # [in, out, kh, kw] of a transposed convolution -> [kh, kw, in, out] of the convolution over
    # the dilated input that equals it: taps flipped.
    return np.transpose(x[:, :, ::-1, ::-1], (2, 3, 0, 1))


def _transposed_out(x: np.ndarray) -> np.ndarray:
    return np.transpose(x, (2, 3, 0, 1))[:, :, ::-1, ::-1]


# layout -> (PyTorch to ours, ours to PyTorch)
_LAYOUTS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], ...]] = {
    "same": (_same, _same),
    "conv": _axes(2, 3, 1, 0),  # OIHW -> HWIO
    "conv3d": _axes(2, 3, 4, 1, 0),
    "conv1d": _axes(2, 1, 0),
    "conv_transpose": (_transposed_in, _transposed_out),
    "linear": _axes(1, 0),
}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One official tensor: its name and the layout it is stored in (a key of the table above)."""

    key: str
    layout: str = "same"


def conv(
    path: str, key: str, *, bias: bool = True, layout: str = "conv", collection: str = "params"
) -> dict[str, Tensor]:
    """A convolution's kernel and bias.

    Example:
      >>> conv("head", "features.0", bias=False)
      {'params/head/kernel': Tensor(key='features.0.weight', layout='conv')}
    """
    entries = {f"{collection}/{path}/kernel": Tensor(f"{key}.weight", layout)}
    if bias:
        entries[f"{collection}/{path}/bias"] = Tensor(f"{key}.bias")
    return entries


def conv_transpose(path: str, key: str, *, bias: bool = True) -> dict[str, Tensor]:
    """A transposed convolution's kernel and bias."""
    return conv(path, key, bias=bias, layout="conv_transpose")


def linear(path: str, key: str) -> dict[str, Tensor]:
    """A dense layer's kernel and bias."""
    return conv(path, key, layout="linear")


def batch_norm(path: str, key: str) -> dict[str, Tensor]:
    """A batch normalisation's scale, bias and running statistics."""
    return {
        f"params/{path}/scale": Tensor(f"{key}.weight"),
        f"params/{path}/bias": Tensor(f"{key}.bias"),
        f"batch_stats/{path}/mean": Tensor(f"{key}.running_mean"),
        f"batch_stats/{path}/var": Tensor(f"{key}.running_var"),
    }


def prefixed(entries: Mapping[str, Tensor], path: str, key: str) -> dict[str, Tensor]:
    """The same tensors one level down: under ``path`` in ours, ``key`` before the official name."""
    moved = {}
    for name, tensor in entries.items():
        collection, rest = name.split("/", 1)
        moved[f"{collection}/{path}/{rest}"] = dataclasses.replace(tensor, key=key + tensor.key)
    return moved


def _official(name: str) -> Any:
    module = f"vqe_jax.weights.official.{name}"
    if importlib.util.find_spec(module) is None:
        raise UserError(f"model {name!r} has no official PyTorch names to convert from or to")
    return importlib.import_module(module)


def _variable_shapes(name: str, kwargs: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    if own := getattr(_official(name), "variable_shapes", None):  # not one of the networks
        return own(**kwargs)
    from vqe_jax.models.shapes import variable_shapes

    return variable_shapes(name, **kwargs)


def _checkpoint_tensors(state_dict: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Unwraps ``state_dict``/``params`` and strips the prefixes that training wrappers leave."""
    for wrapper in ("state_dict", "params", "params_ema"):
        if isinstance(state_dict.get(wrapper), Mapping):
            state_dict = state_dict[wrapper]
    for prefix in ("module.", "generator."):
        if state_dict and any(k.startswith(prefix) for k in state_dict):
            state_dict = {k.removeprefix(prefix): v for k, v in state_dict.items()}
    return {k: np.asarray(v) for k, v in state_dict.items()}


def _shorten(names: Iterable[str]) -> str:
    names = sorted(names)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def from_torch(name: str, state_dict: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Converts official tensors to the variables of ``models.build(name, **kwargs)``.

    Args:
      name: the network.
      state_dict: official tensor names to arrays; a checkpoint that wraps them in
        ``state_dict`` or ``params``, or prefixes ``module.`` or ``generator.``, is unwrapped.
      **kwargs: the network's fields.

    Returns:
      ``{"params": ..., ...}`` as nested dictionaries of numpy arrays.

    Raises:
      UserError: a tensor is missing, unused, or of another shape than the network's.
    """
    official = _official(name)
    table: dict[str, Tensor] = official.tensors(**kwargs)
    ignored = [re.compile(p) for p in getattr(official, "IGNORED", ())]
    found = _checkpoint_tensors(state_dict)
    if rename := getattr(official, "rename", None):
        found = {rename(k): v for k, v in found.items()}
    wanted = {t.key for t in table.values()}
    if missing := wanted - set(found):
        raise UserError(f"{name}: the checkpoint lacks {_shorten(missing)}")
    unused = {k for k in set(found) - wanted if not any(p.search(k) for p in ignored)}
    if unused:
        raise UserError(
            f"{name}: the checkpoint has tensors that the network does not use: {_shorten(unused)}"
        )
    # Parts that are no network of their own (SPyNet) say their shapes themselves.
    own_shapes = getattr(official, "variable_shapes", None)
    shapes = own_shapes(**kwargs) if own_shapes else _variable_shapes(name, kwargs)
    if set(shapes) != set(table):
        raise AssertionError(
            f"weights/official/{name}.py does not cover the network: "
            f"{_shorten(set(shapes) ^ set(table))}"
        )
    tree: dict[str, Any] = {}
    for path, tensor in table.items():
        value = _LAYOUTS[tensor.layout][0](found[tensor.key]) if _fits(tensor, found) else None
        if value is None or value.shape != shapes[path]:
            raise UserError(
                f"{name}: tensor {tensor.key!r} has shape "
                f"{found[tensor.key].shape}, which does not make {path} "
                f"{shapes[path]}; was it trained with other settings?"
            )
        *parents, leaf = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = np.ascontiguousarray(value)
    return tree


def _fits(tensor: Tensor, found: Mapping[str, np.ndarray]) -> bool:
    ranks = {"conv": 4, "conv3d": 5, "conv1d": 3, "conv_transpose": 4, "linear": 2}
    return found[tensor.key].ndim == ranks.get(tensor.layout, found[tensor.key].ndim)


def to_torch(name: str, variables: Mapping[str, Any], **kwargs: Any) -> dict[str, np.ndarray]:
    """The way back: our variables under the official names and layouts.

    Args:
      name: the network.
      variables: as :func:`from_torch` returns them.
      **kwargs: the network's fields.

    Returns:
      Official tensor names to arrays (without tensors the network ignores).
    """
    result = {}
    for path, tensor in _official(name).tensors(**kwargs).items():
        node: Any = variables
        for part in path.split("/"):
            node = node[part]
        result[tensor.key] = np.ascontiguousarray(_LAYOUTS[tensor.layout][1](np.asarray(node)))
    return result
