"""Whether fields and tensors from a file make a network, asked before anything large is built.

A file may come from anywhere. Its fields are bounded first (a million blocks would be traced for an
hour), then the network's own shapes, of which nothing is computed, are compared with the tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import variable_shapes

__all__ = ["check_network"]

_DEEPEST, _LONGEST, _LARGEST = 6, 1000, 512
_FLOATS = ("float32", "float16", "bfloat16")


def check_network(
    name: str, kwargs: Mapping[str, Any], tensors: Mapping[str, np.ndarray], where: str
) -> int:
    """Refuses what is no network of this package with its weights.

    Args:
      tensors: its variables by path, ``"params/head/kernel"``.

    Returns:
      The network's channels.

    Raises:
      UserError: names the first field or tensor that cannot be.
    """
    for path, tensor in tensors.items():
        if str(tensor.dtype) not in _FLOATS:
            raise UserError(f"{where}: {path!r} is {tensor.dtype}; expected {', '.join(_FLOATS)}")
    # A width is a side of some tensor, and a block has tensors of its own.
    sides = [side for tensor in tensors.values() for side in tensor.shape]
    _check_value(dict(kwargs), max([_LARGEST, len(tensors), *sides]), where)
    expected, channels = _shapes(name, kwargs, where)
    _check_shapes(expected, tensors, where)
    for path, tensor in tensors.items():
        if not np.isfinite(np.asarray(tensor, np.float32)).all():
            raise UserError(f"{where}: {path!r} holds numbers that are not finite; train it anew")
    return channels


def _check_value(value: Any, largest: int, where: str, depth: int = 0) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_value(inner, largest, f"{where}: {str(key)[:40]!r}", depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value[:_LONGEST]:
            _check_value(inner, largest, where, depth + 1)
    size = len(value) if isinstance(value, (str, list, tuple, Mapping)) else 0
    number = value if isinstance(value, (int, float)) else 0
    if isinstance(value, int) and abs(value) > largest:
        raise UserError(f"{where} is {_short(value)}, more than any network with these weights has")
    if depth > _DEEPEST or size > _LONGEST or not math.isfinite(number):
        raise UserError(f"{where} is {_short(value)}, which no network takes")


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # integers of thousands of digits; deep nesting
        text = "a huge value"
    return text if len(text) <= 60 else f"{text[:60]}..."


def _shapes(
    name: str, kwargs: Mapping[str, Any], where: str
) -> tuple[dict[str, tuple[int, ...]], int]:
    try:
        network = models.build(name, **kwargs)
        context = network.context
        reach = context.past + context.future
        if not 0 <= reach <= _LARGEST:
            raise UserError(f"it looks {reach} frames around")
        return variable_shapes(name, **kwargs), int(getattr(network, "channels", 1))
    except UserError as err:
        raise UserError(f"{where}: {err}") from None
    except Exception as err:
        # Whatever wrong fields do to the code of whichever network.
        reason = " ".join(str(err).split())[:160] or type(err).__name__
        raise UserError(f"{where}: its fields do not make a {name!r} ({reason})") from None


def _check_shapes(
    expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, np.ndarray], where: str
) -> None:
    for path in sorted(expected.keys() | tensors.keys()):
        if path not in tensors:
            raise UserError(f"{where}: tensor {path!r} is missing")
        if path not in expected:
            raise UserError(f"{where}: tensor {_short(path)} is not one of this network's")
        if tuple(tensors[path].shape) != tuple(expected[path]):
            raise UserError(
                f"{where}: tensor {path!r} is {tuple(tensors[path].shape)}, this network's is "
                f"{tuple(expected[path])}"
            )
