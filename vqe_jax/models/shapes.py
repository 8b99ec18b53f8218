"""Variables of a network without computing anything."""

from __future__ import annotations

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax import models
from vqe_jax.models.side import Side

__all__ = [
    "example_inputs",
    "initial_variables",
    "module_shapes",
    "parameter_count",
    "tree_paths",
    "variable_shapes",
]

# The collections that are weights; what a network sows while it runs is not.
_WEIGHTS = ("params", "batch_stats", "frozen")


def tree_paths(tree: Any, *, separator: str = "/") -> dict[str, Any]:
    """A tree's leaves by path, in the tree's order.

    Example:
      >>> tree_paths({"head": {"kernel": 1, "taps": [2, 3]}})
      {'head/kernel': 1, 'head/taps/0': 2, 'head/taps/1': 3}
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator=separator): leaf for p, leaf in leaves}


def _example(network: models.Network) -> jax.Array:
    context = network.context
    side = max(2 * context.multiple, context.min_side)
    frames = context.past + 1 + context.future
    shape = (1, max(frames, 2), side, side, network.channels)
    return jax.device_put(np.zeros(shape, np.float32))  # compiles nothing, as jnp.zeros would


def _example_side(network: models.Network, frames: int) -> Side:
    """Something of everything that a network may want to be told."""
    conditioning = getattr(network, "conditioning", None)
    side = Side(
        qp=np.full((1,), 37 if conditioning is None else conditioning.qps[0], np.int32),
        frame_qp=np.full((1, frames), 37, np.float32),
        frame_type=np.ones((1, frames), np.int32),
        peak=np.ones((1, frames), bool),
    )
    return jax.device_put(side)


def example_inputs(network: models.Network) -> tuple[jax.Array, dict[str, Any]]:
    """The smallest clip that fits a network, and the keyword arguments that go with it."""
    clip = _example(network)
    return clip, {"side": _example_side(network, clip.shape[1])}


def initial_variables(network: models.Network, key: jax.Array) -> Any:
    """Freshly initialised variables, ``{"params": ...}``, from the smallest clip that fits."""
    clip, told = example_inputs(network)
    return jax.jit(lambda k: network.init(k, clip, **told))(key)


def _weight_shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    weights = {k: v for k, v in tree.items() if k in _WEIGHTS}
    return {path: tuple(leaf.shape) for path, leaf in tree_paths(weights).items()}


def module_shapes(module: nn.Module, *inputs: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of the variables of any module by path, ``"params/head/kernel"``.

    Args:
      *inputs: shapes of its arguments, which are float32 arrays.
    """
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
    return _weight_shapes(jax.eval_shape(module.init, jax.random.key(0), *arrays))


def variable_shapes(name: str, **kwargs: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the variables of ``build(name, **kwargs)`` by path; nothing is computed."""
    return dict(_shapes_of(models.build(name, **kwargs)))


@functools.lru_cache(maxsize=32)
def _shapes_of(network: models.Network) -> dict[str, tuple[int, ...]]:
    """Kept, since tracing a network of a thousand layers takes seconds."""
    return _weight_shapes(
        jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    )


def parameter_count(name: str, **kwargs: Any) -> int:
    """Number of trainable parameters of ``build(name, **kwargs)``."""
    shapes = variable_shapes(name, **kwargs)
    return sum(math.prod(s) for p, s in shapes.items() if p.startswith("params/"))
