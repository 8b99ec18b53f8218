"""Pooling with PyTorch's sizes: floor division, and averages that count the padding."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

__all__ = ["average_pool", "max_pool"]


def max_pool(
    x: Float[Array, "*lead h w c"], size: int, *, stride: int, padding: int = 0
) -> Float[Array, "*lead h2 w2 c"]:
    """The largest value of every ``size`` x ``size`` window; padding never wins.

    Args:
      x: maps, any leading axes.
      size: side of a window.
      stride: pixels between windows.
      padding: pixels added on every side.

    Returns:
      ``floor((n + 2 * padding - size) / stride) + 1`` values along each side.

    Example:
      >>> max_pool(jnp.arange(16.0).reshape(4, 4, 1), 2, stride=2).ravel().tolist()
      [5.0, 7.0, 13.0, 15.0]
    """
    window, strides, pads = _window(x.ndim, size, stride, padding)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, pads)


def average_pool(
    x: Float[Array, "*lead h w c"], size: int, *, stride: int, padding: int = 0
) -> Float[Array, "*lead h2 w2 c"]:
    """The mean of every ``size`` x ``size`` window; zeros of the padding count.

    Args:
      x: maps, any leading axes.
      size: side of a window.
      stride: pixels between windows.
      padding: pixels of zeros added on every side.

    Returns:
      ``floor((n + 2 * padding - size) / stride) + 1`` values along each side.

    Example:
      >>> average_pool(jnp.ones((2, 2, 1)), 3, stride=2, padding=1).ravel().tolist()
      [0.4444444477558136]
    """
    window, strides, pads = _window(x.ndim, size, stride, padding)
    return lax.reduce_window(x, 0.0, lax.add, window, strides, pads) / size**2


def _window(
    ndim: int, size: int, stride: int, padding: int
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    lead = ndim - 3
    return (
        [1] * lead + [size, size, 1],
        [1] * lead + [stride, stride, 1],
        [(0, 0)] * lead + [(padding, padding)] * 2 + [(0, 0)],
    )
