"""A clip as the stacks of neighbouring frames that window networks read."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["clamped_neighbors", "frame_stack", "frame_windows"]


def clamped_neighbors(length: int, radius: int) -> np.ndarray:
    """Indices of every frame's neighbors; one that does not exist is the nearest that does.

    Example:
      >>> clamped_neighbors(3, 1).tolist()
      [[0, 0, 1], [0, 1, 2], [1, 2, 2]]
    """
    index = np.arange(length)[:, None] + np.arange(-radius, radius + 1)
    return np.clip(index, 0, length - 1)


def frame_stack(window: Float[Array, "b n h w c"]) -> Float[Array, "b h w s"]:
    """The frames of a window as channels: all frames of the first color, then of the next."""
    b, n, h, w, c = window.shape
    return window.transpose(0, 2, 3, 4, 1).reshape(b, h, w, c * n)


def frame_windows(
    clip: Float[Array, "b t h w c"], radius: int, *, inner: bool = False
) -> Float[Array, "b m h w s"]:
    """Every frame with its neighbors as channels, ``s = c * (2 * radius + 1)``.

    Args:
      inner: only the frames whose neighbors are all in the clip; otherwise neighbors that do
        not exist are the nearest frame that does.

    Returns:
      As :func:`frame_stack`, one stack a frame.
    """
    t, size = clip.shape[1], 2 * radius + 1
    if not inner:
        clip = jnp.pad(clip, ((0, 0), (radius, radius), *[(0, 0)] * 3), mode="edge")
    # One transposition for all windows; each is then a slice of neighbouring channels.
    channels = clip.transpose(0, 2, 3, 4, 1)
    count = t - 2 * radius if inner else t
    stacks = [channels[..., i : i + size] for i in range(count)]
    return jnp.stack(stacks, axis=1).reshape(clip.shape[0], count, *clip.shape[2:4], -1)
