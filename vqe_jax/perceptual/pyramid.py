"""Gaussian pyramids: a picture, low-passed and thinned out, for losses at several scales."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

__all__ = ["gaussian_downscale"]


def _gaussian(sigma: float) -> np.ndarray:
    reach = round(4 * sigma)
    taps = np.exp(-np.square(np.arange(-reach, reach + 1) / sigma) / 2)
    return taps / taps.sum()


def gaussian_downscale(x: Float[Array, "n h w c"], *, factor: int) -> Float[Array, "n h2 w2 c"]:
    """Blurs by a Gaussian with zeros outside, then keeps every ``factor``-th row and column.

    The width is sigma = (factor - 1) / 2, cut off at four sigma, as in PeQuENet's released code.

    Args:
      factor: 1 (unchanged) or more.

    Returns:
      Sizes are divided by ``factor`` and rounded up.
    """
    if factor == 1:
        return x
    taps = _gaussian((factor - 1) / 2)
    channels, reach = x.shape[-1], len(taps) // 2
    kernel = jnp.tile(jnp.asarray(taps, x.dtype)[:, None, None, None], (1, 1, 1, channels))
    for axis in (0, 1):  # separable: rows, then columns
        x = lax.conv_general_dilated(
            x,
            kernel if axis == 0 else kernel.transpose(1, 0, 2, 3),
            (factor, 1) if axis == 0 else (1, factor),
            [(reach, reach), (0, 0)] if axis == 0 else [(0, 0), (reach, reach)],
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=channels,
        )
    return x
