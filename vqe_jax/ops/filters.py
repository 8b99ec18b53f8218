"""Small linear filters on frames."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

__all__ = ["blur3", "unsharp"]

# The binomial kernel: a Gaussian of three taps.
_SIDE, _CENTRE = 0.25, 0.5


def blur3(x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h w c"]:
    """Blurs with the separable kernel [1 2 1] / 4; the border is replicated.

    Example:
      >>> blur3(jnp.array([0.0, 0.0, 1.0]).reshape(1, 3, 1)).ravel().tolist()
      [0.0, 0.25, 0.75]
    """
    for axis in (x.ndim - 3, x.ndim - 2):
        widths = [(0, 0)] * x.ndim
        widths[axis] = (1, 1)
        padded = jnp.pad(x, widths, mode="edge")
        n = x.shape[axis]
        parts = [lax.slice_in_dim(padded, i, i + n, axis=axis) for i in range(3)]
        x = _SIDE * (parts[0] + parts[2]) + _CENTRE * parts[1]
    return x


def unsharp(x: Float[Array, "*lead h w c"], amount: float) -> Float[Array, "*lead h w c"]:
    """Unsharp masking: adds ``amount`` times what a three-tap Gaussian takes away.

    Args:
      x: frames.
      amount: 0 leaves them as they are.

    Returns:
      ``x + amount * (x - blur3(x))``; not clipped.
    """
    return x + amount * (x - blur3(x))
