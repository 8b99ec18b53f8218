"""Texture transfer: which place of a reference is most like each place, and what lies there.

Yang et al., "Learning Texture Transformer Network for Image Super-Resolution" (TTSR), CVPR 2020,
Eq. 1 to 5: the relevance of 3x3 patches is the cosine between them; the hard attention is where
it is largest, the soft attention how large it is.
"""

from __future__ import annotations

import itertools

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

__all__ = ["most_relevant", "transferred"]

_SHIFTS = tuple(itertools.product((-1, 0, 1), repeat=2))
_AT_ONCE = 1024  # places whose relevance to all others is in memory together


def most_relevant(
    query: Float[Array, "h w f"], key: Float[Array, "h w f"]
) -> tuple[Float[Array, "h w"], Int[Array, "h w"]]:
    """The largest relevance of each place's 3x3 patch to those of a key, and where it is found.

    Memory does not grow with the square of the places. The choice itself has no gradient.

    Returns:
      The soft attention, in [-1, 1], and the hard one, numbers of places row by row.
    """
    q, k = (_patches(x.astype(jnp.float32)) for x in (query, key))
    fixed = lax.stop_gradient(k)

    def best(row: Float[Array, " p"]) -> Int[Array, ""]:
        return jnp.argmax(fixed @ row)

    hard = lax.map(best, lax.stop_gradient(q), batch_size=_AT_ONCE)
    soft = jnp.sum(q * k[hard], axis=-1)
    return soft.reshape(query.shape[:2]), hard.reshape(query.shape[:2])


def transferred(value: Float[Array, "h2 w2 f"], hard: Int[Array, "h w"]) -> Float[Array, "h2 w2 f"]:
    """The patches of a value that the hard attention names, each put in its place.

    The value may be a whole number of times larger than the attention's map: a patch is then 3x3
    cells of so many pixels. Where patches overlap, their mean is taken over what lies inside.

    Args:
      hard: of :func:`most_relevant`.
    """
    h, w = hard.shape
    scale, features = value.shape[0] // h, value.shape[-1]
    cells = value.reshape(h, scale, w, scale, features).transpose(0, 2, 1, 3, 4)
    rows, columns = hard // w, hard % w
    total, count = jnp.zeros_like(cells), jnp.zeros((h, w), value.dtype)
    for dy, dx in _SHIFTS:
        y, x = (jnp.roll(a, (dy, dx), (0, 1)) for a in (rows + dy, columns + dx))
        inside = _exists(h, w, dy, dx) & (y >= 0) & (y < h) & (x >= 0) & (x < w)
        weight = inside.astype(value.dtype)
        found = cells[jnp.clip(y, 0, h - 1), jnp.clip(x, 0, w - 1)]
        total = total + found * weight[..., None, None, None]
        count = count + weight
    mean = total / count[..., None, None, None]  # the patch of a place itself is always inside
    return mean.transpose(0, 2, 1, 3, 4).reshape(value.shape)


def _exists(h: int, w: int, dy: int, dx: int) -> np.ndarray:
    """Whether the place ``(dy, dx)`` before each one is in the map."""
    y, x = np.ogrid[:h, :w]
    return (y >= dy) & (y < h + dy) & (x >= dx) & (x < w + dx)


def _patches(x: Float[Array, "h w f"]) -> Float[Array, "n p"]:
    """The 3x3 patch around each place as a vector of length one; zeros beyond the border."""
    h, w, _ = x.shape
    wide = jnp.pad(x, ((1, 1), (1, 1), (0, 0)))
    parts = [wide[1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w] for dy, dx in _SHIFTS]
    flat = jnp.concatenate(parts, axis=-1).reshape(h * w, -1)
    return flat * lax.rsqrt(jnp.sum(jnp.square(flat), axis=-1, keepdims=True) + 1e-12)
