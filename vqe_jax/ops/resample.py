"""Resizing by bilinear interpolation, in both conventions for where the corners lie."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vqe_jax.errors import UserError

__all__ = ["resize_bilinear"]


def resize_bilinear(
    x: Float[Array, "*lead h w c"], size: tuple[int, int], *, align_corners: bool = False
) -> Float[Array, "*lead h2 w2 c"]:
    """Resizes without antialiasing, as PyTorch's ``interpolate(mode="bilinear")``.

    Args:
      x: maps, any leading axes.
      size: height and width wanted, in pixels.
      align_corners: the centers of the corner pixels stay where they are; otherwise the outer
        edges do (half-pixel centers, the border replicated).

    Returns:
      The maps at their new size, in the type of ``x``.

    Raises:
      UserError: a size below one pixel.

    Example:
      >>> x = jnp.array([0.0, 3.0]).reshape(1, 2, 1)
      >>> resize_bilinear(x, (1, 4)).ravel().tolist()
      [0.0, 0.75, 2.25, 3.0]
      >>> resize_bilinear(x, (1, 4), align_corners=True).ravel().tolist()
      [0.0, 1.0, 2.0, 3.0]
    """
    if min(size) < 1:
        raise UserError(f"size={size} to resize to must be at least one pixel each way")
    x = _resize_axis(x, size[0], x.ndim - 3, align_corners)
    return _resize_axis(x, size[1], x.ndim - 2, align_corners)


def _resize_axis(
    x: Float[Array, "*lead h w c"], size: int, axis: int, align_corners: bool
) -> Float[Array, "*lead h2 w2 c"]:
    old = x.shape[axis]
    if size == old:
        return x
    low, fraction = _positions(old, size, align_corners)
    weight = jnp.asarray(fraction, x.dtype).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    before = jnp.take(x, low, axis=axis)
    after = jnp.take(x, np.minimum(low + 1, old - 1), axis=axis)
    return before * (1 - weight) + after * weight


def _positions(old: int, new: int, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """The pixel before each new one, and how far beyond it the new one lies."""
    index = np.arange(new, dtype=np.float64)
    if align_corners:
        position = index * (old - 1) / max(new - 1, 1)
    else:
        position = np.maximum((index + 0.5) * old / new - 0.5, 0)
    low = np.minimum(np.floor(position).astype(np.int32), old - 1)
    return low, np.minimum(position - low, 1.0)
