"""Structural similarity (Wang et al., 2004) in the two variants that the literature reports.

They differ in the window and in the variance's denominator, and their values are not comparable:

* ``"uniform"``: 7x7 box, sample covariance (n - 1). The defaults of scikit-image, which STDF's and
  RFDA's evaluation call.
* ``"gaussian"``: 11x11 Gaussian of sigma 1.5, population covariance. The authors' MATLAB code,
  BasicSR and mmediting.

Both average over the positions where the whole window lies inside the frame.
"""

from __future__ import annotations

import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vqe_jax.errors import UserError

__all__ = ["ssim", "ssim_map", "ssim_parts"]

Window = Literal["uniform", "gaussian"]


def _taps(window: Window) -> np.ndarray:
    if window == "uniform":
        return np.full(7, 1 / 7)
    if window == "gaussian":
        taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
        return taps / taps.sum()
    raise UserError(f"SSIM window {window!r} is not known; expected 'uniform' or 'gaussian'")


def _filter(x: Float[Array, "*b h w c"], taps: np.ndarray) -> Float[Array, "*b h2 w2 c"]:
    """Weighted sums over the windows that lie inside; one axis after the other."""
    for axis in (-3, -2):
        length = x.shape[axis] - len(taps) + 1
        shifted = (
            jax.lax.slice_in_dim(x, k, k + length, axis=x.ndim + axis) for k in range(len(taps))
        )
        x = sum(float(t) * s for t, s in zip(taps, shifted, strict=True))  # type: ignore[assignment]
    return x


@functools.partial(jax.jit, static_argnames=("window", "peak"))
def ssim_parts(
    result: Float[Array, "*b h w c"],
    reference: Float[Array, "*b h w c"],
    *,
    window: Window = "uniform",
    peak: float = 1.0,
) -> tuple[Float[Array, "*b h2 w2 c"], Float[Array, "*b h2 w2 c"]]:
    """The index's two factors at every position: luminance, and contrast with structure.

    Arguments and errors as :func:`ssim_map`.
    """
    taps = _taps(window)
    height, width = result.shape[-3:-1]
    if min(height, width) < len(taps):
        raise UserError(
            f"SSIM's {window} window is {len(taps)} pixels wide; frames are {width}x{height}"
        )
    # Variances do not change when both frames are shifted; around zero, float32 keeps the digits
    # that E[x^2] - E[x]^2 would cancel.
    centre = jnp.mean(reference, axis=(-3, -2), keepdims=True)
    x, y = result - centre, reference - centre
    filtered = functools.partial(_filter, taps=taps)
    mx, my = filtered(x), filtered(y)
    count = len(taps) ** 2
    bessel = count / (count - 1) if window == "uniform" else 1.0
    vx, vy = bessel * (filtered(x * x) - mx * mx), bessel * (filtered(y * y) - my * my)
    cov = bessel * (filtered(x * y) - mx * my)
    mx, my = mx + centre, my + centre
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    return luminance, (2 * cov + c2) / (vx + vy + c2)


@functools.partial(jax.jit, static_argnames=("window", "peak"))
def ssim_map(
    result: Float[Array, "*b h w c"],
    reference: Float[Array, "*b h w c"],
    *,
    window: Window = "uniform",
    peak: float = 1.0,
) -> Float[Array, "*b h2 w2 c"]:
    """The index at every position of the window, channel by channel.

    Args:
      result: frames to judge.
      reference: the true ones.
      window: the variant; see the module.
      peak: the largest value a pixel can have.

    Returns:
      ``h - 6`` (uniform) or ``h - 10`` (gaussian) rows, columns likewise.

    Raises:
      UserError: frames smaller than the window, or an unknown variant.
    """
    luminance, structure = ssim_parts(result, reference, window=window, peak=peak)
    return luminance * structure


@functools.partial(jax.jit, static_argnames=("window", "peak"))
def ssim(
    result: Float[Array, "*b h w c"],
    reference: Float[Array, "*b h w c"],
    *,
    window: Window = "uniform",
    peak: float = 1.0,
) -> Float[Array, "*b"]:
    """Mean of :func:`ssim_map` of each frame, over positions and channels.

    Example:
      >>> a = jnp.linspace(0, 1, 64).reshape(8, 8, 1)
      >>> float(ssim(a, a))
      1.0
    """
    return jnp.mean(ssim_map(result, reference, window=window, peak=peak), axis=(-3, -2, -1))
