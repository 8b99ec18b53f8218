"""Named protocols: everything that decides what a published number means.

The same network gains different amounts under different protocols, so a report names the one it
used. A protocol says the channels, the rounding, the metric's variant and the unit; frames are all
frames of a video, and the mean over a data set is that of the videos' means.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.metrics.ms_ssim import MS_SSIM_MIN_SIDE, ms_ssim
from vqe_jax.metrics.psnr import psnr, quantize
from vqe_jax.metrics.ssim import ssim
from vqe_jax.registry import Registry

__all__ = ["PROTOCOLS", "Protocol", "protocol", "register"]

_MIN_SIDES = {"psnr": 1, "ssim": 11, "ms-ssim": MS_SSIM_MIN_SIDE}

_Metric = Callable[..., Float[Array, "*b"] | Float[np.ndarray, "*b"]]
_Frames = Float[Array, "..."] | Float[np.ndarray, "..."]  # [..., h, w, c]


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to judge frames.

    Attributes:
      quantity: what is measured: ``"psnr"``, ``"ssim"``, ``"lpips"``, ...
      rounding: ``"float"``, values as the network gives them, neither rounded nor clipped, or
        ``"uint8"``, clipped and rounded to 8 bits first.
      description: for reports: the rule and who uses it.
      metric: ``(result, reference) -> one value a frame``.
      min_side: the smallest height and width it is defined on, pixels.
    """

    name: str
    quantity: str
    color: Literal["luma", "rgb"]
    rounding: Literal["float", "uint8"]
    description: str
    metric: _Metric
    higher_is_better: bool = True
    min_side: int = 1

    def __call__(self, result: _Frames, reference: _Frames) -> Float[np.ndarray, "*b"]:
        """Judges frames against the true ones.

        Args:
          result: frames ``[..., h, w, c]`` in [0, 1].

        Returns:
          One value a frame.

        Raises:
          UserError: shapes that differ, or channels that are not the protocol's.
        """
        if result.shape != reference.shape:
            raise UserError(
                f"{self.name}: frames of {tuple(result.shape)} cannot be judged against "
                f"{tuple(reference.shape)}"
            )
        channels = 1 if self.color == "luma" else 3
        if result.shape[-1] != channels:
            raise UserError(
                f"{self.name} is defined on {self.color} ({channels} channels), "
                f"not on {result.shape[-1]} channels"
            )
        x, y = jnp.asarray(result, jnp.float32), jnp.asarray(reference, jnp.float32)
        if self.rounding == "uint8":
            x, y = quantize(x), quantize(y)
        return np.asarray(self.metric(x, y))


def _luma_of_rgb(rgb: Float[Array, "*b h w 3"]) -> Float[Array, "*b h w 1"]:
    """Y of BT.601 in its limited range, rounded to 8 bits (mmcv's ``bgr2ycbcr``)."""
    weights = jnp.array([65.481, 128.553, 24.966], jnp.float32) / 255
    luma = jnp.einsum("...c,c->...", rgb, weights, precision=jax.lax.Precision.HIGHEST)
    return quantize(luma[..., None] + jnp.float32(16 / 255))


def _psnr_of_luma(
    result: Float[Array, "*b h w 3"], reference: Float[Array, "*b h w 3"]
) -> Float[Array, "*b"]:
    return psnr(_luma_of_rgb(result), _luma_of_rgb(reference))


# What each says in reports: the rule, and who uses it.
_RULES = {
    "psnr_y": "PSNR of Y, float values neither rounded nor clipped (STDF, RFDA)",
    "psnr_y_uint8": "PSNR of Y, clipped and rounded to 8 bits, as of a written file",
    "psnr_rgb_uint8": (
        "PSNR of RGB, clipped and rounded to 8 bits, one MSE over the channels (NTIRE)"
    ),
    "psnr_y_of_rgb": (
        "PSNR of Y that is taken from 8-bit RGB by BT.601 and rounded again (PowerVQE)"
    ),
    "ssim_y": (
        "SSIM of Y, 7x7 uniform window, sample covariance, float values neither rounded nor "
        "clipped (RFDA; scikit-image's defaults)"
    ),
    "ssim_y_gaussian": (
        "SSIM of Y, 11x11 Gaussian window of sigma 1.5, valid region, 8 bits (MATLAB, BasicSR)"
    ),
    "ssim_rgb_gaussian": (
        "SSIM of RGB, 11x11 Gaussian window of sigma 1.5, valid region, 8 bits, mean of the "
        "channels (BasicSR, mmediting, NTIRE)"
    ),
    "ms_ssim_y": "MS-SSIM of Y, five scales, 8 bits",
    "ms_ssim_rgb": "MS-SSIM of RGB, mean of the channels, five scales, 8 bits (NTIRE)",
}


def _protocols() -> dict[str, Protocol]:
    uniform = functools.partial(ssim, window="uniform")
    gaussian = functools.partial(ssim, window="gaussian")
    rows: list[tuple[str, str, Literal["luma", "rgb"], Literal["float", "uint8"], _Metric]] = [
        ("psnr_y", "psnr", "luma", "float", psnr),
        ("psnr_y_uint8", "psnr", "luma", "uint8", psnr),
        ("psnr_rgb_uint8", "psnr", "rgb", "uint8", psnr),
        ("psnr_y_of_rgb", "psnr", "rgb", "uint8", _psnr_of_luma),
        ("ssim_y", "ssim", "luma", "float", uniform),
        ("ssim_y_gaussian", "ssim", "luma", "uint8", gaussian),
        ("ssim_rgb_gaussian", "ssim", "rgb", "uint8", gaussian),
        ("ms_ssim_y", "ms-ssim", "luma", "uint8", ms_ssim),
        ("ms_ssim_rgb", "ms-ssim", "rgb", "uint8", ms_ssim),
    ]
    return {
        name: Protocol(
            name, quantity, color, rounding, _RULES[name], metric, min_side=_MIN_SIDES[quantity]
        )
        for name, quantity, color, rounding, metric in rows
    }


PROTOCOLS: Registry[Protocol] = Registry(
    "metric protocol",
    _protocols(),
    check=lambda x: isinstance(x, Protocol),
    expected="a Protocol",
)

register = PROTOCOLS.register


def protocol(name: str) -> Protocol:
    """Finds a protocol, by its name or as ``"package.module:Name"``.

    Raises:
      UserError: no such name; names the near misses.

    Example:
      >>> protocol("psnr_y").description
      'PSNR of Y, float values neither rounded nor clipped (STDF, RFDA)'
    """
    return PROTOCOLS.get(name)
