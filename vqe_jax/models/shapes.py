"""Variables of a network without computing anything."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from vqe_jax import models

__all__ = ["initial_variables", "parameter_count", "variable_shapes"]


def _example(network: models.Network) -> jax.Array:
    context = network.context
    side = max(2 * context.multiple, context.min_side)
    frames = context.past + 1 + context.future
    channels = getattr(network, "channels", 1)
    return jnp.zeros((1, max(frames, 2), side, side, channels), jnp.float32)


def initial_variables(network: models.Network, key: jax.Array) -> Any:
    """Freshly initialised variables, ``{"params": ...}``, from the smallest clip that fits."""
    qp = jnp.full((1,), 37, jnp.int32)
    return jax.jit(lambda k: network.init(k, _example(network), qp=qp))(key)


def variable_shapes(name: str, **kwargs: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of all variables by path, ``"params/head/kernel"``; nothing is computed."""
    network = models.build(name, **kwargs)
    tree = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(str(k.key) for k in path): tuple(leaf.shape) for path, leaf in leaves}


def parameter_count(name: str, **kwargs: Any) -> int:
    """Number of trainable parameters of ``build(name, **kwargs)``."""
    shapes = variable_shapes(name, **kwargs)
    return sum(math.prod(s) for p, s in shapes.items() if p.startswith("params/"))
