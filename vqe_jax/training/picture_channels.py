"""Which input channels of which kernels are pictures, read off a network's traced program.

Every value of the program is a picture (some of its channels, at least), a kernel as the network
holds it, something else, or a constant. Pictures stay pictures where they are only moved (stacked,
sliced, padded, reshaped) or shifted and scaled by constants; a convolution or a product makes
features of them.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vqe_jax.models.shapes import tree_paths

__all__ = ["picture_channels"]

Found = dict[str, Bool[np.ndarray, " _"]]


@dataclasses.dataclass(frozen=True)
class _Kernel:
    path: str
    blocks: int = 1  # input channels that stand for one, where pictures lie in channels
    apart: bool = False  # these do not follow each other: whole frames do


# Functions that make a kernel for several pixels or frames in the place of one.
_WIDENING = {"unshuffled_kernel": False, "flat_kernel": True}

_OTHER = "other"  # None stands for constants
_MOVING = frozenset(
    name
    for line in (
        "reshape transpose concatenate slice squeeze broadcast_in_dim rev pad",
        "gather dynamic_slice copy split stack unstack tile",
    )
    for name in line.split()
)
_SHIFTING = frozenset(
    name
    for line in (
        "add sub mul div neg convert_element_type select_n clamp max min",
        "optimization_barrier stop_gradient reduce_precision",
    )
    for name in line.split()
)


def picture_channels(
    function: Callable[[Any, Array], Any], params: Any, clip: Float[Array, "b t h w c"]
) -> Found:
    """The input channels that are pictures, by the path of each kernel that reads any.

    Args:
      function: ``(params, clip) -> anything``.
      params: or their shapes; kernels have their input channels at the last axis but one.

    Example:
      >>> def network(params, clip):
      ...     features = clip @ params["first"]
      ...     return jnp.concatenate([clip, features], axis=-1) @ params["second"]
      >>> shapes = {"first": jnp.zeros((1, 2)), "second": jnp.zeros((3, 1))}
      >>> found = picture_channels(network, shapes, jnp.zeros((1, 2, 4, 4, 1)))
      >>> {path: mask.tolist() for path, mask in found.items()}
      {'first': [True], 'second': [True, False, False]}
    """
    program = jax.make_jaxpr(function)(params, clip)
    kernels = [_Kernel(path) for path in tree_paths(params)]
    found: Found = {}
    _walk(program.jaxpr, [*kernels, np.ones(clip.shape, bool)], found)
    return {path: mask for path, mask in found.items() if mask.any()}


def _walk(program: Any, inputs: Sequence[Any], found: Found) -> list[Any]:
    """Follows a program's values; what convolutions read goes into ``found``."""
    known = dict(zip(program.invars, inputs, strict=True))

    def read(variable: Any) -> Any:
        return None if isinstance(variable, jax.extend.core.Literal) else known.get(variable)

    for equation in program.eqns:
        values = [read(v) for v in equation.invars]
        known.update(zip(equation.outvars, _through(equation, values, found), strict=True))
    return [read(v) for v in program.outvars]


def _through(equation: Any, values: list[Any], found: Found) -> list[Any]:
    """What comes out of one operation."""
    name, count = equation.primitive.name, len(equation.outvars)
    if all(v is None for v in values):
        return [None] * count
    if name == "conv_general_dilated":
        _note_convolution(equation, values, found)
    elif name == "dot_general":
        _note_product(equation, values, found)
    elif name == "scan":
        return _scan(equation, values, found)
    elif equation.params.get("name") in _WIDENING and isinstance(values[0], _Kernel):
        before, after = (v.aval.shape[-2] for v in (equation.invars[0], equation.outvars[0]))
        apart = _WIDENING[equation.params["name"]]
        return [dataclasses.replace(values[0], blocks=after // before, apart=apart)]
    elif (inner := _inner(equation.params)) is not None and len(inner.invars) == len(values):
        return _walk(inner, values, found)
    elif name in _MOVING and _some_picture(values):
        return _moved(equation, values)
    elif name in _SHIFTING:
        return [_shifted(values, v.aval.shape) for v in equation.outvars]
    return [_OTHER] * count


def _inner(params: dict[str, Any]) -> Any:
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if key in params:
            return getattr(params[key], "jaxpr", params[key])
    return None


def _some_picture(values: Sequence[Any]) -> bool:
    return any(isinstance(v, np.ndarray) for v in values)


def _as_long(outside: Any, inside: Any) -> bool:
    """Whether a loop hands it on as it is; of what it takes turns at, inside is one axis less."""
    return outside.aval.ndim == inside.aval.ndim


def _scan(equation: Any, values: list[Any], found: Found) -> list[Any]:
    """One turn of a loop; what is carried is taken for features."""
    program = equation.params["jaxpr"].jaxpr
    carried = sum(map(_as_long, equation.outvars, program.outvars))
    turning = len(values) - sum(map(_as_long, equation.invars, program.invars))
    constant = len(values) - carried - turning
    turns = [v[0] if isinstance(v, np.ndarray) else v for v in values[constant + carried :]]
    inputs = [*values[:constant], *[_OTHER] * carried, *turns]
    results = _walk(program, inputs, found)
    stacked = [
        np.broadcast_to(r, v.aval.shape) if isinstance(r, np.ndarray) else r
        for r, v in zip(results[carried:], equation.outvars[carried:], strict=True)
    ]
    return [_OTHER] * carried + stacked


def _moved(equation: Any, values: list[Any]) -> list[Any]:
    """The marks of pictures, moved as the pictures are."""
    name = equation.primitive.name
    if name in ("gather", "dynamic_slice") and any(v is not None for v in values[1:]):
        return [_OTHER] * len(equation.outvars)
    marks = []
    for index, (value, variable) in enumerate(zip(values, equation.invars, strict=True)):
        aval = variable.aval
        if isinstance(value, np.ndarray):
            marks.append(jax.device_put(value.astype(np.float32)))
        elif jnp.issubdtype(aval.dtype, jnp.integer):
            marks.append(jnp.zeros(aval.shape, aval.dtype))  # a place; all places are alike
        else:  # what pads a picture counts as one, what stands beside it does not
            fill = jnp.ones if name == "pad" and index == 1 else jnp.zeros
            marks.append(fill(aval.shape, jnp.float32))
    results = equation.primitive.bind(*marks, **equation.params)
    results = results if equation.primitive.multiple_results else [results]
    moved = [np.asarray(r) > 0.5 for r in results]
    return [m if m.any() else _OTHER for m in moved]


def _shifted(values: list[Any], shape: tuple[int, ...]) -> Any:
    """Pictures with constants are pictures; kernels pass through what changes their type alone."""
    told = [v for v in values if v is not None]
    if len(told) == 1 and isinstance(told[0], _Kernel) and len(values) == 1:
        return told[0]
    if not all(isinstance(v, np.ndarray) for v in told):
        return _OTHER
    return np.broadcast_to(reduce(operator.and_, told), shape)


def _note(kernel: Any, marks: Bool[np.ndarray, " _"], found: Found) -> None:
    """Adds a use of a kernel; one that is used twice reads pictures where both uses do."""
    if isinstance(kernel, _Kernel):
        shape = (kernel.blocks, -1) if kernel.apart else (-1, kernel.blocks)
        marks = marks.reshape(shape).min(axis=0 if kernel.apart else 1)
        found[kernel.path] = found.get(kernel.path, marks) & marks


def _channels(value: Any, axis: int, size: int) -> Bool[np.ndarray, " _"]:
    if not isinstance(value, np.ndarray):
        return np.zeros(size, bool)
    return np.moveaxis(value, axis, 0).reshape(size, -1).min(axis=1)


def _note_convolution(equation: Any, values: list[Any], found: Found) -> None:
    value, kernel = values
    dimensions = equation.params["dimension_numbers"]
    shape = equation.invars[1].aval.shape
    if dimensions.rhs_spec[1] != len(shape) - 2:
        return
    axis, groups = dimensions.lhs_spec[1], equation.params["feature_group_count"]
    marks = _channels(value, axis, equation.invars[0].aval.shape[axis])
    _note(kernel, marks.reshape(groups, -1).min(axis=0), found)


def _note_product(equation: Any, values: list[Any], found: Found) -> None:
    value, kernel = values
    (left, right), _ = equation.params["dimension_numbers"]
    shape = equation.invars[1].aval.shape
    if len(left) == 1 and tuple(right) == (len(shape) - 2,):
        _note(kernel, _channels(value, left[0], shape[-2]), found)
