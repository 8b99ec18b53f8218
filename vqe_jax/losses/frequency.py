"""Losses on frequencies: on the spectrum, which sees lost texture, and on what a blur leaves."""

from __future__ import annotations

import functools

import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.losses.pixel import charbonnier
from vqe_jax.ops.filters import gaussian_blur

__all__ = ["fft", "low_pass"]


def fft(
    prediction: Float[Array, "b t h w c"],
    target: Float[Array, "b t h w c"],
    *,
    orthonormal: bool = False,
) -> Float[Array, ""]:
    """Mean absolute difference of the real and imaginary parts of the 2-D spectra.

    Args:
      orthonormal: scale the transform by ``1 / sqrt(h w)``, so that the loss does not grow with
        the crop; False is how it is usually published.

    Returns:
      A scalar: the mean over the non-redundant half of the spectrum.
    """
    norm = "ortho" if orthonormal else "backward"
    # The transform is linear: one of the difference instead of two.
    spectrum = jnp.fft.rfft2(prediction - target, axes=(2, 3), norm=norm)
    return jnp.mean(0.5 * (jnp.abs(spectrum.real) + jnp.abs(spectrum.imag)))


def low_pass(
    prediction: Float[Array, "b t h w c"],
    target: Float[Array, "b t h w c"],
    *,
    size: int = 5,
    sigma: float = 1.0,
    eps: float = 1e-9,
) -> Float[Array, ""]:
    """Charbonnier loss of blurred frames (Shannon, NTIRE 2021): high frequencies are left free.

    Args:
      size: taps of the Gaussian on each axis, odd.
      sigma: of the Gaussian, in pixels.
      eps: as in :func:`vqe_jax.losses.pixel.charbonnier`.
    """
    blur = functools.partial(gaussian_blur, sigma=sigma, size=size, border="reflect")
    return charbonnier(blur(prediction), blur(target), eps=eps)
