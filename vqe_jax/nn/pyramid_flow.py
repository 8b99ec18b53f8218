"""Optical flow of the NTIRE 2021 baseline: SPyNet's idea, in the form of its TensorFlow code.

Against :class:`~vqe_jax.nn.flow.SPyNet`: five levels, each of which is 16 times as fine at most as
the coarsest; no normalization; from level to level flow is enlarged with TensorFlow 1's bilinear
resize, whose first pixels lie on each other, and is **not** doubled.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.flow import FlowLevel
from vqe_jax.ops.pool import average_pool
from vqe_jax.ops.warp import flow_warp

__all__ = ["PyramidFlow", "double_from_corner"]

Frames = Float[Array, "b h w c"]
Flow = Float[Array, "b h w 2"]


def double_from_corner(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Doubles the size as TensorFlow 1 does: pixel ``2 i`` is the old pixel ``i``.

    Example:
      >>> double_from_corner(jnp.array([0.0, 2.0]).reshape(1, 1, 2, 1)).ravel().tolist()[:4]
      [0.0, 1.0, 2.0, 2.0]
    """
    for axis in (1, 2):
        following = jnp.concatenate(
            [jnp.take(x, jnp.arange(1, x.shape[axis]), axis), jnp.take(x, jnp.array([-1]), axis)],
            axis,
        )
        pairs = jnp.stack([x, (x + following) / 2], axis + 1)
        x = pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


class PyramidFlow(nn.Module):
    """Optical flow between two frames whose sides are multiples of ``2**(levels - 1)``."""

    levels: int = 5
    widths: tuple[int, ...] = (32, 64, 32, 16)  # hidden channels of every level

    @nn.compact
    def __call__(self, ref: Frames, supp: Frames) -> Flow:
        """Finds where each pixel of ``ref`` is in ``supp``: flow (dx, dy) in pixels."""
        levels = [(ref.astype(jnp.float32), supp.astype(jnp.float32))]
        for _ in range(self.levels - 1):
            a, b = (average_pool(x, 2, stride=2) for x in levels[-1])
            levels.append((a, b))
        flow = jnp.zeros((*levels[-1][0].shape[:3], 2), jnp.float32)
        for level, (a, b) in enumerate(reversed(levels)):
            if level:
                flow = double_from_corner(flow)
            warped = flow_warp(b, flow, padding="border")
            seen = jnp.concatenate([warped, a, flow], axis=-1)
            flow = flow + FlowLevel(self.widths, name=f"level{level}")(seen)
        return flow
