"""Peak signal-to-noise ratio, and the rounding that comes before it."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["mse", "psnr", "quantize"]


@functools.partial(jax.jit, static_argnames="bits")
def quantize(frames: Float[Array, "*s"], *, bits: int = 8) -> Float[Array, "*s"]:
    """What is left of frames once they are written as integers: clipped to [0, 1] and rounded.

    Args:
      frames: values in [0, 1], or a little outside.

    Returns:
      Multiples of ``1 / (2^bits - 1)``.

    Example:
      >>> round(float(quantize(jnp.float32(0.5))) * 255, 3)
      128.0
    """
    top = float(2**bits - 1)
    return jnp.round(jnp.clip(frames, 0.0, 1.0) * top) / top


@jax.jit
def mse(
    result: Float[Array, "*b h w c"], reference: Float[Array, "*b h w c"]
) -> Float[Array, "*b"]:
    """Mean squared error of each frame over its pixels and channels."""
    # Rows first: a sum of millions of float32 in one go would lose digits.
    rows = jnp.mean(jnp.square(result - reference), axis=(-2, -1))
    return jnp.mean(rows, axis=-1)


@functools.partial(jax.jit, static_argnames=("peak", "ceiling"))
def psnr(
    result: Float[Array, "*b h w c"],
    reference: Float[Array, "*b h w c"],
    *,
    peak: float = 1.0,
    ceiling: float = 100.0,
) -> Float[Array, "*b"]:
    """``10 log10(peak^2 / MSE)`` of each frame, in dB.

    Neither rounds nor clips: see :func:`quantize` for the 8-bit protocol.

    Args:
      peak: the largest value a pixel can have.
      ceiling: what identical frames get, and the most any frame can.

    Returns:
      One value a frame.

    Example:
      >>> a = jnp.zeros((2, 4, 4, 1))
      >>> [round(float(x), 3) for x in psnr(a.at[0].set(0.1), a)]
      [20.0, 100.0]
    """
    tiny = jnp.finfo(jnp.float32).tiny
    ratio = peak**2 / jnp.maximum(mse(result, reference), tiny)
    return jnp.minimum(10.0 * jnp.log10(ratio), ceiling)
