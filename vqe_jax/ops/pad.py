"""Padding of a clip to the sizes a network takes, and the way back."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["crop_to_size", "pad_to_multiple", "padded_size"]


def padded_size(size: int, multiple: int, min_side: int = 1) -> int:
    """The smallest multiple of ``multiple`` that is at least ``size`` and ``min_side``.

    Example:
      >>> padded_size(270, 8), padded_size(5, 4, min_side=15)
      (272, 16)
    """
    return -(-max(size, min_side) // multiple) * multiple


def pad_to_multiple(
    clip: Float[Array, "*lead h w c"], multiple: int, min_side: int = 1
) -> Float[Array, "*lead h2 w2 c"]:
    """Replicates the last row and column until both sides suit a network.

    Args:
      clip: frames, any leading axes.
      multiple: what height and width must divide by.
      min_side: the smallest side allowed, in pixels.

    Returns:
      The clip with rows added at the bottom and columns at the right; itself if none are needed.
    """
    h, w = clip.shape[-3:-1]
    rows = padded_size(h, multiple, min_side) - h
    cols = padded_size(w, multiple, min_side) - w
    if not rows and not cols:
        return clip
    lead = [(0, 0)] * (clip.ndim - 3)
    return jnp.pad(clip, [*lead, (0, rows), (0, cols), (0, 0)], mode="edge")


def crop_to_size(
    clip: Float[Array, "*lead h2 w2 c"], height: int, width: int
) -> Float[Array, "*lead h w c"]:
    """Undoes :func:`pad_to_multiple`: keeps the top left ``height`` x ``width`` pixels."""
    return clip[..., :height, :width, :]
