"""Multi-scale structural similarity (Wang, Simoncelli and Bovik, 2003), five scales.

Contrast and structure are compared at every scale, luminance at the coarsest only. Between scales
frames are halved by the mean of 2x2 pixels; an odd last row or column is repeated first.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.metrics.ssim import Frames, ssim_parts

__all__ = ["MS_SSIM_MIN_SIDE", "ms_ssim"]

# Exponents of the scales, finest first (Table 1 of the paper).
_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# The window of 11 pixels must fit into the coarsest scale, a sixteenth rounded up.
MS_SSIM_MIN_SIDE = 161


@jax.jit
def _halve(x: Float[Array, "*b h w c"]) -> Float[Array, "*b _ _ c"]:
    lead = [(0, 0)] * (x.ndim - 3)
    h, w, c = x.shape[-3:]
    x = jnp.pad(x, [*lead, (0, h % 2), (0, w % 2), (0, 0)], mode="edge")
    return x.reshape(*x.shape[:-3], (h + 1) // 2, 2, (w + 1) // 2, 2, c).mean((-4, -2))


def ms_ssim(result: Frames, reference: Frames, *, peak: float = 1.0) -> Float[Array, "*b"]:
    """MS-SSIM of each frame, the mean over the channels.

    Neither rounds nor clips: see :func:`vqe_jax.metrics.psnr.quantize` for 8-bit values.

    Args:
      peak: the largest value a pixel can have.

    Returns:
      One value a frame, 1 for identical frames. Negative means of contrast and structure, which
      have no real power, count as 0.

    Raises:
      UserError: frames smaller than 161 pixels.

    Example:
      >>> a = jnp.tile(jnp.linspace(0, 1, 176)[None, :, None], (176, 1, 1))
      >>> round(float(ms_ssim(a, a)), 5)
      1.0
    """
    height, width = result.shape[-3:-1]
    if min(height, width) < MS_SSIM_MIN_SIDE:
        raise UserError(
            f"MS-SSIM with five scales needs frames of at least {MS_SSIM_MIN_SIDE} pixels a side; "
            f"these are {width}x{height}, use ssim"
        )
    product = jnp.ones((), jnp.float32)
    x, y = result, reference
    for scale, exponent in enumerate(_EXPONENTS):
        luminance, structure = ssim_parts(x, y, window="gaussian", peak=peak)
        last = scale == len(_EXPONENTS) - 1
        index = (luminance * structure if last else structure).mean((-3, -2))
        product = product * jnp.maximum(index, 0) ** exponent
        if not last:
            x, y = _halve(x), _halve(y)
    return product.mean(-1)
