"""The metrics a report can ask for: the protocols of ``metrics``, and those that need weights.

Most judge a frame at a time (:class:`vqe_jax.metrics.Protocol`); some judge a clip as a whole
(:class:`ClipMetric`).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from vqe_jax.errors import UserError, near_misses
from vqe_jax.metrics import PROTOCOLS, Protocol

__all__ = ["DEFAULTS", "ClipMetric", "find_metrics", "known_metrics"]

# What is measured where nothing is said: the papers' pair for each colour.
DEFAULTS = {
    "luma": ("psnr_y", "ssim_y"),
    "rgb": ("psnr_rgb_uint8", "ssim_rgb_gaussian"),
}


def _lpips(net: str) -> Protocol:
    from vqe_jax.metrics.lpips import lpips
    from vqe_jax.weights import load_perceptual

    variables = load_perceptual(f"lpips_{net}").variables
    return Protocol(
        f"lpips_{net}", "lpips", "rgb", "uint8",
        f"LPIPS v0.1 with {net}, RGB, clipped and rounded to 8 bits; smaller is better",
        functools.partial(lpips, variables=variables, net=net), higher_is_better=False,
    )  # fmt: skip


def _dists() -> Protocol:
    from vqe_jax.metrics.dists import dists
    from vqe_jax.weights import load_perceptual

    return Protocol(
        "dists", "dists", "rgb", "uint8",
        "DISTS, RGB, clipped and rounded to 8 bits, frames not shrunk; smaller is better",
        functools.partial(dists, variables=load_perceptual("dists").variables),
        higher_is_better=False,
    )  # fmt: skip


def _ms_ssim(colour: str) -> Protocol:
    from vqe_jax.metrics.ms_ssim import ms_ssim

    name = "ms_ssim_y" if colour == "luma" else "ms_ssim_rgb"
    return Protocol(
        name, "ms-ssim", colour, "uint8",  # type: ignore[arg-type]
        f"MS-SSIM of {'Y' if colour == 'luma' else 'RGB, mean of the channels'}, five scales, "
        "8 bits", ms_ssim,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ClipMetric:
    """A metric that needs all frames of a clip for one value.

    Attributes:
      name: how it is asked for.
      colour: the channels it is defined on; None: either.
      description: for reports.
      metric: ``(frames, true frames) -> value``; both are read once, rounded to 8 bits.
    """

    name: str
    colour: str | None
    description: str
    metric: Callable[[Iterable[np.ndarray], Iterable[np.ndarray]], float]


def _fid() -> ClipMetric:
    from vqe_jax.metrics.fid import fid
    from vqe_jax.weights import load_perceptual

    variables = load_perceptual("inception").variables
    text = "FID (Inception 2015-12-05) of a clip's frames; smaller is better"
    return ClipMetric("fid", "rgb", text, functools.partial(fid, variables=variables))


def _kid() -> ClipMetric:
    from vqe_jax.metrics.kid import kid
    from vqe_jax.weights import load_perceptual

    variables = load_perceptual("inception").variables
    text = "KID of a clip's frames, subsets of 1000 or of all there are; smaller is better"
    return ClipMetric("kid", "rgb", text, lambda x, y: kid(x, y, variables=variables).mean)


def _vmaf() -> ClipMetric:
    from vqe_jax.metrics.vmaf import ffmpeg_with_vmaf, vmaf

    ffmpeg_with_vmaf()  # missing: better said now than after the first clip
    text = "VMAF v0.6.1 of Y, mean over frames, 0 to 100; larger is better"
    return ClipMetric("vmaf", "luma", text, lambda x, y: vmaf(x, y).mean)


def _flicker(smooth: bool) -> ClipMetric:
    from vqe_jax.metrics.temporal import flicker

    def measure(result: Iterable[np.ndarray], truth: Iterable[np.ndarray]) -> float:
        # Two frames at a time: the metric looks no further, and clips may be long.
        pairs = itertools.pairwise(zip(result, truth, strict=True))
        values = [
            float(flicker(jnp.stack([a[0], b[0]]), jnp.stack([a[1], b[1]]), smooth=smooth)[0])
            for a, b in pairs
        ]
        return 1e4 * float(np.mean(values)) if values else math.nan

    where = "the smoother half of each frame" if smooth else "all that can be followed"
    text = (
        f"warping error along the truth's motion minus that of the truth, x 1e4, over {where}; "
        "smaller is steadier"
    )
    return ClipMetric("flicker_smooth" if smooth else "flicker", None, text, measure)


# Made only when asked for: most of them read weights.
_MADE: dict[str, Callable[[], Any]] = {
    **{f"lpips_{net}": functools.partial(_lpips, net) for net in ("alex", "vgg", "squeeze")},
    "dists": _dists,
    "ms_ssim_y": functools.partial(_ms_ssim, "luma"),
    "ms_ssim_rgb": functools.partial(_ms_ssim, "rgb"),
    "fid": _fid,
    "kid": _kid,
    "vmaf": _vmaf,
    "flicker": functools.partial(_flicker, smooth=False),
    "flicker_smooth": functools.partial(_flicker, smooth=True),
}


def known_metrics() -> list[str]:
    """All names that :func:`find_metrics` takes."""
    return sorted([*PROTOCOLS, *_MADE])


def find_metrics(names: Sequence[str], colour: str) -> tuple[list[Protocol], list[ClipMetric]]:
    """The metrics of a report, those of frames and those of clips.

    Args:
      names: what was asked for; empty for the defaults of the colour, which are also taken where
        only metrics of clips are named.
      colour: ``"luma"`` or ``"rgb"``, what the models work on.

    Raises:
      UserError: an unknown name, one on other channels, or weights that are not there.
    """
    made: list[Protocol | ClipMetric] = []
    for name in names:
        if name not in PROTOCOLS and name not in _MADE:
            raise UserError(f"metric {name!r} does not exist{near_misses(name, known_metrics())}")
        metric = PROTOCOLS[name] if name in PROTOCOLS else _MADE[name]()
        if metric.colour not in (colour, None):
            raise UserError(f"metric {name!r} is defined on {metric.colour}; models are {colour}")
        made.append(metric)
    of_frames = [m for m in made if isinstance(m, Protocol)]
    of_clips = [m for m in made if isinstance(m, ClipMetric)]
    return of_frames or [PROTOCOLS[name] for name in DEFAULTS[colour]], of_clips
