"""Mirrors and turns of training batches on the device, inside the jitted step (dm-pix).

The pipeline hands over crops as they lie in the clips; a step turns each example by one of the
symmetries of :mod:`vqe_jax.symmetry`, drawn from the step's key, so that a resumed run turns as one
that never stopped.
"""

from __future__ import annotations

import dm_pix as pix
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray, Shaped

from vqe_jax.symmetry import SYMMETRIES

__all__ = ["random_symmetries", "symmetries"]


def _turn(clip: Array, symmetry: Array, square: bool) -> Array:
    """The numbering of :mod:`vqe_jax.symmetry`, of one clip ``[..., h, w, c]``."""
    if square:
        # A transpose is a quarter turn and a mirror.
        turned = pix.flip_up_down(pix.rot90(clip))
        clip = jnp.where(symmetry & 4, turned, clip)
    clip = jnp.where(symmetry & 1, pix.flip_left_right(clip), clip)
    return jnp.where(symmetry & 2, pix.flip_up_down(clip), clip)


def symmetries(
    clips: Shaped[Array, "b *t h w c"], chosen: Int[Array, " b"]
) -> Shaped[Array, "b *t h w c"]:
    """Turns each clip of a batch by a symmetry of its own.

    Args:
      clips: of any kind of numbers; where they are not square, only mirrors are possible.
      chosen: a number for each, as in :mod:`vqe_jax.symmetry`.
    """
    square = clips.shape[-3] == clips.shape[-2]
    return jax.vmap(lambda clip, number: _turn(clip, number, square))(clips, chosen)


def random_symmetries(
    batch: dict[str, Array],
    key: PRNGKeyArray,
    *,
    allowed: tuple[int, ...] = SYMMETRIES,
) -> dict[str, Array]:
    """Turns each example of a batch at random, all its pictures alike.

    Args:
      batch: by name; what has five axes, ``[b, t, h, w, c]``, is turned, the rest is left.
      key: of this step; the draw depends on it and on the batch's size alone.
      allowed: symmetries to draw from, equally likely.

    Example:
      >>> batch = {"raw": jnp.ones((2, 3, 8, 8, 1)), "qp": jnp.array([37, 32])}
      >>> random_symmetries(batch, jax.random.key(0))["raw"].shape
      (2, 3, 8, 8, 1)
    """
    if tuple(allowed) == (0,):
        return batch
    pictures = [name for name, value in batch.items() if value.ndim == 5]
    size = batch[pictures[0]].shape[0]
    chosen = jax.random.choice(key, jnp.asarray(allowed), (size,))
    return batch | {name: symmetries(batch[name], chosen) for name in pictures}
