"""Trading space for channels and back, in PyTorch's channel order ``c * r * r + dy * r + dx``."""

from __future__ import annotations

from jaxtyping import Array, Float

__all__ = ["pixel_shuffle", "pixel_unshuffle"]


def pixel_unshuffle(x: Float[Array, "*lead h w c"], factor: int) -> Float[Array, "*lead h2 w2 c2"]:
    """Moves every ``factor`` x ``factor`` block of pixels into channels.

    Args:
      x: height and width multiples of ``factor``.
      factor: side of a block.

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
