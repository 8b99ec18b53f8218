"""Average pooling with PyTorch's sizes, in programs with strict types (Flax's mixes them)."""

from __future__ import annotations

from jax import lax
from jaxtyping import Array, Float

__all__ = ["average_pool"]


def average_pool(
    x: Float[Array, "*lead h w c"], size: int, *, stride: int, padding: int = 0
) -> Float[Array, "*lead h2 w2 c"]:
    """The mean of every ``size`` x ``size`` window; zeros of the padding count.

    Example:
      >>> import jax
      >>> average_pool(jax.numpy.ones((2, 2, 1)), 3, stride=2, padding=1).ravel().tolist()
      [0.4444444477558136]
    """
    lead = (1,) * (x.ndim - 3)
    pads = [(0, 0)] * len(lead) + [(padding, padding)] * 2 + [(0, 0)]
    window, strides = (*lead, size, size, 1), (*lead, stride, stride, 1)
    return lax.reduce_window(x, 0.0, lax.add, window, strides, pads) / size**2
