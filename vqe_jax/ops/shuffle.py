"""Trading space for channels and back, in PyTorch's channel order ``c * r * r + dy * r + dx``."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["pixel_shuffle", "pixel_unshuffle", "unshuffled_kernel"]


def pixel_unshuffle(x: Float[Array, "*lead h w c"], factor: int) -> Float[Array, "*lead h2 w2 c2"]:
    """Moves every ``factor`` x ``factor`` block of pixels into channels.

    Args:
      x: height and width multiples of ``factor``.

    Returns:
      ``[..., h / factor, w / factor, c * factor**2]``.
    """
    *lead, h, w, c = x.shape
    n = len(lead)
    x = x.reshape(*lead, h // factor, factor, w // factor, factor, c)
    x = x.transpose(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*lead, h // factor, w // factor, c * factor**2)


def pixel_shuffle(x: Float[Array, "*lead h w c"], factor: int) -> Float[Array, "*lead h2 w2 c2"]:
    """Undoes :func:`pixel_unshuffle`: channels become blocks of pixels."""
    *lead, h, w, c = x.shape
    n = len(lead)
    x = x.reshape(*lead, h, w, c // factor**2, factor, factor)
    x = x.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return x.reshape(*lead, h * factor, w * factor, c // factor**2)


@functools.partial(jax.jit, static_argnames="factor")  # known by its name in traced programs
def unshuffled_kernel(kernel: Float[Array, "k k i o"], factor: int) -> Float[Array, "k2 k2 i2 o2"]:
    """The kernel that does to unshuffled maps what ``kernel`` does to the maps themselves.

    ``conv(pixel_unshuffle(x), unshuffled_kernel(k)) == pixel_unshuffle(conv(x, k))``, both with
    zeros outside. Three quarters of it (``factor`` 2) are zeros; but few channels at full size cost
    a processor more than many at half, and maps that stay unshuffled need not be moved.

    Returns:
      ``[n, n, i * factor**2, o * factor**2]``, ``n`` as many blocks as a block's pixels see.
    """
    size, _, inside, outside = kernel.shape
    blocks = 2 * -(-(size // 2) // factor) + 1
    block, source, target = np.ogrid[:blocks, :factor, :factor]
    tap = factor * (block - blocks // 2) + source - target + size // 2
    tap = np.where((tap >= 0) & (tap < size), tap, size)  # the last is a zero
    padded = jnp.pad(kernel, [(0, 1), (0, 1), (0, 0), (0, 0)])
    taps = padded[tap[:, None, :, None, :, None], tap[None, :, None, :, None, :]]
    area = factor**2  # [block y, x, source y, x, target y, x, i, o]
    taps = taps.transpose(0, 1, 6, 2, 3, 7, 4, 5)
    return taps.reshape(blocks, blocks, inside * area, outside * area)
