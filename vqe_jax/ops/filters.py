"""Small linear filters on frames."""

from __future__ import annotations

import functools
import operator
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

__all__ = ["blur3", "edge_strength", "gaussian_blur", "high_pass", "unsharp"]

# The binomial kernel: a Gaussian of three taps.
_SIDE, _CENTRE = 0.25, 0.5


def blur3(x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h w c"]:
    """Blurs with the separable kernel [1 2 1] / 4; the border is replicated.

    Example:
      >>> blur3(jnp.array([0.0, 0.0, 1.0]).reshape(1, 3, 1)).ravel().tolist()
      [0.0, 0.25, 0.75]
    """
    return _separable(x, (_SIDE, _CENTRE, _SIDE), (_SIDE, _CENTRE, _SIDE))


def gaussian_blur(
    x: Float[Array, "*lead h w c"],
    sigma: float,
    *,
    size: int | None = None,
    border: Literal["edge", "reflect"] = "edge",
) -> Float[Array, "*lead h w c"]:
    """Blurs with a Gaussian.

    Args:
      sigma: of the Gaussian, in pixels.
      size: taps on each axis, odd; None: cut at three sigma.
      border: replicated, or reflected about its outermost pixels (Kornia's default).

    Example:
      >>> impulse = jnp.eye(5)[2].reshape(1, 5, 1) * jnp.ones((5, 1, 1))
      >>> [round(v, 3) for v in gaussian_blur(impulse, 1.0, size=5)[2].ravel().tolist()]
      [0.054, 0.244, 0.403, 0.244, 0.054]
    """
    radius = max(round(3 * sigma), 1) if size is None else size // 2
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel = tuple((taps / taps.sum()).tolist())
    return _separable(x, kernel, kernel, border)


def high_pass(
    x: Float[Array, "*lead h w c"], sigma: float = 1.0, size: int = 5
) -> Float[Array, "*lead h w c"]:
    """What a Gaussian takes away, halved and around 0.5, so that it fits into [0, 1]."""
    return 0.5 + 0.5 * (x - gaussian_blur(x, sigma, size=size, border="reflect"))


def edge_strength(x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h w 1"]:
    """Length of Sobel's gradient of the mean over the channels, per pixel; no gradient at zero.

    Example:
      >>> ramp = jnp.broadcast_to(jnp.arange(5.0)[:, None], (5, 5, 1))
      >>> float(edge_strength(ramp)[2, 2, 0])
      1.0
    """
    gray = jnp.mean(x, axis=-1, keepdims=True)
    smooth, slope = (_SIDE, _CENTRE, _SIDE), (-0.5, 0.0, 0.5)
    square = _separable(gray, smooth, slope) ** 2 + _separable(gray, slope, smooth) ** 2
    flat = square == 0
    return jnp.where(flat, 0.0, jnp.sqrt(jnp.where(flat, 1.0, square)))


def _separable(
    x: Float[Array, "*lead h w c"],
    rows: tuple[float, ...],
    columns: tuple[float, ...],
    border: Literal["edge", "reflect"] = "edge",
) -> Float[Array, "*lead h w c"]:
    """Correlates along the rows' axis, then along the columns'."""
    for axis, taps in ((x.ndim - 3, rows), (x.ndim - 2, columns)):
        widths = [(0, 0)] * x.ndim
        widths[axis] = (len(taps) // 2, len(taps) // 2)
        padded = jnp.pad(x, widths, mode=border)
        n = x.shape[axis]
        parts = [lax.slice_in_dim(padded, i, i + n, axis=axis) for i in range(len(taps))]
        x = functools.reduce(operator.add, (w * p for w, p in zip(taps, parts, strict=True)))
    return x


def unsharp(x: Float[Array, "*lead h w c"], amount: float) -> Float[Array, "*lead h w c"]:
    """Unsharp masking: adds ``amount`` times what a three-tap Gaussian takes away.

    Args:
      amount: 0 leaves them as they are.

    Returns:
      ``x + amount * (x - blur3(x))``; not clipped.
    """
    return x + amount * (x - blur3(x))
