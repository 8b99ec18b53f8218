"""A loss on the spectrum, which sees lost texture that a mean of pixels forgives."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["fft"]


def fft(
    prediction: Float[Array, "b t h w c"],
    target: Float[Array, "b t h w c"],
    *,
    orthonormal: bool = False,
) -> Float[Array, ""]:
    """Mean absolute difference of the real and imaginary parts of the 2-D spectra.

    Args:
      prediction: enhanced clip.
      target: raw clip.
      orthonormal: scale the transform by ``1 / sqrt(h w)``, so that the loss does not grow with
        the crop; False is how it is usually published.

    Returns:
      A scalar: the mean over the non-redundant half of the spectrum.
    """
    norm = "ortho" if orthonormal else "backward"
    # The transform is linear: one of the difference instead of two.
    spectrum = jnp.fft.rfft2(prediction - target, axes=(2, 3), norm=norm)
    return jnp.mean(0.5 * (jnp.abs(spectrum.real) + jnp.abs(spectrum.imag)))
