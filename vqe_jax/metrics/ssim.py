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
Frames = Float[Array | np.ndarray, "*b h w c"]


def _taps(window: Window) -> np.ndarray:
    if window == "uniform":
        return np.full(7, 1 / 7)
    if window == "gaussian":
        taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
        return taps / taps.sum()
    raise UserError(f"SSIM window {window!r} is not known; expected 'uniform' or 'gaussian'")


@functools.partial(jax.jit, static_argnames=("taps", "axis"))
def _along(x: Float[Array, "*s"], *, taps: tuple[float, ...], axis: int) -> Float[Array, "*r"]:
    length = x.shape[axis] - len(taps) + 1
    shifted = [
        tap * jax.lax.slice_in_dim(x, k, k + length, axis=x.ndim + axis)
        for k, tap in enumerate(taps)
    ]
    return functools.reduce(jnp.add, shifted)


def _filter(x: Float[Array, "*b h w c"], taps: np.ndarray) -> Float[Array, "*b h2 w2 c"]:
    """Weighted sums over the windows that lie inside; one axis after the other.

    Compiled an axis at a time: in one program, XLA would compute the first pass anew for every tap
    of the second, which takes ten times as long on a CPU.
    """
    weights = tuple(float(t) for t in taps)
    return _along(_along(x, taps=weights, axis=-3), taps=weights, axis=-2)


@jax.jit
def _products(x: jax.Array, y: jax.Array) -> tuple[jax.Array, ...]:
    """Both frames around the reference's mean, the sum of their squares, their product, the mean.

    Variances do not change when both frames are shifted; around zero, float32 keeps the digits
    that E[x^2] - E[x]^2 would cancel.
    """
    center = jnp.mean(y, axis=(-3, -2), keepdims=True)
    x, y = x - center, y - center
    return x, y, x * x + y * y, x * y, center


@functools.partial(jax.jit, static_argnames=("bessel", "peak"))
def _factors(
    mx: jax.Array,
    my: jax.Array,
    squares: jax.Array,
    product: jax.Array,
    center: jax.Array,
    *,
    bessel: float,
    peak: float,
) -> tuple[jax.Array, jax.Array]:
    """Luminance, and contrast with structure, from the windows' means."""
    variances = bessel * (squares - mx * mx - my * my)
    covariance = bessel * (product - mx * my)
    mx, my = mx + center, my + center
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    return luminance, (2 * covariance + c2) / (variances + c2)


def ssim_parts(
    result: Frames,
    reference: Frames,
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
    *fields, center = _products(result, reference)
    count = len(taps) ** 2
    bessel = count / (count - 1) if window == "uniform" else 1.0
    return _factors(*(_filter(f, taps) for f in fields), center, bessel=bessel, peak=peak)


def ssim_map(
    result: Frames,
    reference: Frames,
    *,
    window: Window = "uniform",
    peak: float = 1.0,
) -> Float[Array, "*b h2 w2 c"]:
    """The index at every position of the window, channel by channel.

    Args:
      window: the variant; see the module.
      peak: the largest value a pixel can have.

    Returns:
      ``h - 6`` (uniform) or ``h - 10`` (gaussian) rows, columns likewise.

    Raises:
      UserError: frames smaller than the window, or an unknown variant.
    """
    luminance, structure = ssim_parts(result, reference, window=window, peak=peak)
    return luminance * structure


def ssim(
    result: Frames,
    reference: Frames,
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
