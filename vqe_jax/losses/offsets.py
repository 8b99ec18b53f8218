"""Regularizers of deformable offsets, by which the MT.MaxClear team trained EDVR (NTIRE 2021, 4.5).

Both take an output of offsets: one array ``[..., h, w, n]`` with channels group, tap, (dy, dx), in
pixels, or a tree of them, of which each counts the same. They want a weight that falls to zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import check_known

__all__ = ["offset_deviation", "offset_tv"]

# Of [..., h, w, group and tap, (dy, dx)].
_AXES: dict[str, tuple[int, ...]] = {"channels": (-2,), "space": (-4, -3)}


def offset_tv(offsets: Any) -> Float[Array, ""]:
    """Total variation: the mean absolute difference to the offsets of the pixels below and beside.

    Example:
      >>> ramp = jnp.arange(4.0)[:, None, None] * jnp.ones((4, 4, 18))
      >>> float(offset_tv(ramp))  # 1 px from row to row, 0 from column to column
      1.0
    """
    return _mean(_variation, offsets)


def offset_deviation(offsets: Any, *, over: str = "channels") -> Float[Array, ""]:
    """Deviation: the mean absolute difference to the mean offset, dy and dx by themselves.

    Args:
      over: what the mean is taken over: "channels", all groups and taps at a pixel, as the report's
        text has it; "space", all pixels of a channel.

    Raises:
      UserError: another value of ``over``.

    Example:
      >>> shift = jnp.tile(jnp.array([5.0, -3.0]), (4, 4, 9))  # all channels agree
      >>> float(offset_deviation(shift))
      0.0
    """
    check_known("over=", over, _AXES)

    def deviation(x: Float[Array, "*lead h w n"]) -> Float[Array, ""]:
        pairs = x.reshape(*x.shape[:-1], x.shape[-1] // 2, 2)
        return jnp.mean(jnp.abs(pairs - jnp.mean(pairs, axis=_AXES[over], keepdims=True)))

    return _mean(deviation, offsets)


def _variation(x: Float[Array, "*lead h w n"]) -> Float[Array, ""]:
    down, beside = jnp.diff(x, axis=-3), jnp.diff(x, axis=-2)
    return jnp.mean(jnp.abs(down)) + jnp.mean(jnp.abs(beside))


def _mean(of: Callable[[Any], Float[Array, ""]], offsets: Any) -> Float[Array, ""]:
    """Over the deformable convolutions."""
    return jnp.mean(jnp.stack([of(x) for x in jax.tree.leaves(offsets)]))
