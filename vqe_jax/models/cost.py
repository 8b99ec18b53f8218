"""Operations of a network, counted from its jaxpr rather than by hand."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vqe_jax import models
from vqe_jax.models.shapes import initial_variables

__all__ = ["multiply_adds", "multiply_adds_per_frame"]


def multiply_adds(function: Callable[..., Any], *args: Any) -> int:
    """Multiply-adds of all convolutions and matrix products of a function; nothing is computed.

    Products with padding count, as in the counters of the literature. Loops count as often as
    they run; of a conditional the dearest branch counts.

    Args:
      function: what ``jax.make_jaxpr`` can trace.
      *args: arrays or ``jax.ShapeDtypeStruct``.

    Example:
      >>> import jax.numpy as jnp
      >>> multiply_adds(jnp.matmul, jnp.zeros((2, 3)), jnp.zeros((3, 5)))
      30
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr)


def _count(jaxpr: Any) -> int:
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    out = equation.outvars[0].aval.shape if equation.outvars else ()
    if name == "conv_general_dilated":
        kernel = equation.invars[1].aval.shape
        out_axis = params["dimension_numbers"].rhs_spec[0]
        return math.prod(out) * math.prod(kernel) // kernel[out_axis]
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        left = equation.invars[0].aval.shape
        return math.prod(out) * math.prod(left[axis] for axis in contracted)
    if name == "cond":
        return max(_count(branch.jaxpr) for branch in params["branches"])
    inner = [getattr(p, "jaxpr", p) for p in params.values()]
    times = params["length"] if name == "scan" else 1
    return times * sum(_count(j) for j in inner if hasattr(j, "eqns"))


def multiply_adds_per_frame(name: str, *, height: int, width: int, **kwargs: Any) -> int:
    """Multiply-adds for one output frame, every frame of its window computed anew.

    This is how the literature counts: no work is shared between neighbouring frames.

    Args:
      height: of the frame, in pixels.
      width: of the frame, in pixels.
    """
    network = models.build(name, **kwargs)
    context = network.context
    variables = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    if context.references is not None:  # which frames these are takes no operations
        count = context.references.count
        one = jax.ShapeDtypeStruct((1, 1, count, height, width, network.channels), jnp.float32)
        apply = functools.partial(network.apply, method="on_windows")
        return multiply_adds(apply, variables, one)
    frames = context.past + 1 + context.future
    window = jax.ShapeDtypeStruct((1, frames, height, width, network.channels), jnp.float32)
    if context.recurrence != "forward":
        return multiply_adds(network.apply, variables, window) // frames

    def step(variables: Any, window: jax.Array) -> Any:
        return network.apply(variables, None, window, method="step")

    return multiply_adds(step, variables, window)
