"""Mirrors and turns of clips that are on the device already (dm-pix), jitted.

The input pipeline turns crops on the host, as views of uint8 arrays that are copied anyway
(:mod:`vqe_jax.data.symmetry`): a quarter of the bytes, and no device is touched in threads. This
is for clips that live on the device, as in self-ensembles, cached validation crops, or where the
host cannot keep up: one key per batch, the same turn for the compressed and the raw clip.
"""

from __future__ import annotations

import functools

import dm_pix as pix
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

__all__ = ["random_symmetries", "symmetries"]


def _turn(clip: Array, symmetry: Array) -> Array:
    """The numbering of :mod:`vqe_jax.data.symmetry`, of one clip ``[t, h, w, c]``."""
    clip = jax.lax.cond(symmetry & 4, lambda x: jnp.swapaxes(x, -3, -2), lambda x: x, clip)
    clip = jax.lax.cond(symmetry & 1, pix.flip_left_right, lambda x: x, clip)
    return jax.lax.cond(symmetry & 2, pix.flip_up_down, lambda x: x, clip)


@jax.jit
def symmetries(
    clips: Float[Array, "b t s s c"], chosen: Int[Array, " b"]
) -> Float[Array, "b t s s c"]:
    """Turns each clip of a batch by a symmetry of the square.

    Args:
      clips: square pictures.
      chosen: 0 to 7 for each, as in :mod:`vqe_jax.data.symmetry`.
    """
    return jax.vmap(_turn)(clips, chosen)


@functools.partial(jax.jit, static_argnames=("rotations",))
def random_symmetries(
    key: PRNGKeyArray,
    batch: dict[str, Float[Array, "b t s s c"]],
    *,
    rotations: bool = True,
) -> dict[str, Float[Array, "b t s s c"]]:
    """Mirrors and turns a batch at random; all clips of an example alike.

    Args:
      key: of this batch.
      batch: clips by name (``"compressed"``, ``"raw"``), of equal batch sizes.
      rotations: quarter turns too, not only mirrors.

    Example:
      >>> clips = {"raw": jnp.ones((2, 3, 8, 8, 1)), "compressed": jnp.zeros((2, 3, 8, 8, 1))}
      >>> random_symmetries(jax.random.key(0), clips)["raw"].shape
      (2, 3, 8, 8, 1)
    """
    size = next(iter(batch.values())).shape[0]
    chosen = jax.random.randint(key, (size,), 0, 8 if rotations else 4)
    return {name: symmetries(clips, chosen) for name, clips in batch.items()}
