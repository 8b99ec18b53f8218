"""The metrics a report can ask for: the protocols of ``metrics``, and those that need weights.

Most judge a frame at a time (:class:`vqe_jax.metrics.Protocol`); some judge a clip as a whole
(:class:`ClipMetric`).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from vqe_jax.errors import EnvironmentFailure, UserError, check_known
from vqe_jax.metrics import (
    PERCEPTUAL_PROTOCOLS,
    PROTOCOLS,
    Protocol,
    fid,
    kid,
    perceptual_protocol,
    vmaf,
)
from vqe_jax.metrics.perceptual import weights_of
from vqe_jax.metrics.temporal import flicker
from vqe_jax.metrics.vmaf import ffmpeg_with_vmaf
from vqe_jax.weights import load_perceptual

__all__ = ["DEFAULTS", "SHORT", "ClipMetric", "Metrics", "find_metrics", "known_metrics"]

# What is measured where nothing is said: the papers' pair for each color.
DEFAULTS = {
    "luma": ("psnr_y", "ssim_y"),
    "rgb": ("psnr_rgb_uint8", "ssim_rgb_gaussian"),
}


# Short names, as papers head their columns, and what they stand for on each color.
SHORT = {
    "psnr": {"luma": "psnr_y", "rgb": "psnr_rgb_uint8"},
    "ssim": {"luma": "ssim_y", "rgb": "ssim_rgb_gaussian"},
    "ms_ssim": {"luma": "ms_ssim_y", "rgb": "ms_ssim_rgb"},
    "lpips": {"luma": "lpips_alex", "rgb": "lpips_alex"},
}


@dataclasses.dataclass(frozen=True)
class ClipMetric:
    """A metric that needs all frames of a clip for one value.

    Attributes:
      color: the channels it is defined on; None: either.
      metric: ``(frames, true frames) -> value``; both are read once, rounded to 8 bits.
    """

    name: str
    color: str | None
    description: str
    metric: Callable[[Iterable[np.ndarray], Iterable[np.ndarray]], float]
    higher_is_better: bool = False
    min_frames: int = 1


@dataclasses.dataclass(frozen=True)
class Metrics:
    """What a report measures.

    Attributes:
      missing: name -> why it was asked for and cannot be measured here; one line each.
      sources: name -> where its weights or its program come from.
    """

    frames: tuple[Protocol, ...]
    clips: tuple[ClipMetric, ...] = ()
    missing: dict[str, str] = dataclasses.field(default_factory=dict)
    sources: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def all(self) -> tuple[Protocol | ClipMetric, ...]:
        """Those of frames, then those of clips."""
        return (*self.frames, *self.clips)


def _variables(name: str, network: str, sources: dict[str, str]) -> Mapping[str, Any]:
    """The weights that a metric measures with; where they come from is noted."""
    weights = load_perceptual(network)
    sources[name] = weights.source
    return weights.variables


def _perceptual(name: str, sources: dict[str, str]) -> Protocol:
    return perceptual_protocol(name, _variables(name, weights_of(name), sources))


def _fid(sources: dict[str, str]) -> ClipMetric:
    variables = _variables("fid", "inception", sources)
    text = (
        "FID (Inception 2015-12-05) of a clip's frames, RGB; smaller is better; it depends on the "
        "number of frames"
    )
    return ClipMetric("fid", "rgb", text, functools.partial(fid, variables=variables), min_frames=2)


def _kid(sources: dict[str, str]) -> ClipMetric:
    variables = _variables("kid", "inception", sources)
    text = (
        "KID of a clip's frames, RGB (VID in the NTIRE 2021 report), unbiased, 100 subsets of 1000 "
        "or, of shorter clips, all frames once; smaller is better"
    )
    return ClipMetric(
        "kid", "rgb", text, lambda x, y: kid(x, y, variables=variables).mean, min_frames=2
    )


def _vmaf(sources: dict[str, str]) -> ClipMetric:
    sources["vmaf"] = ffmpeg_with_vmaf()  # missing: better said now than after the first clip
    text = "VMAF v0.6.1 of Y, mean over frames, 0 to 100; larger is better"
    return ClipMetric("vmaf", "luma", text, lambda x, y: vmaf(x, y).mean, higher_is_better=True)


def _flicker(smooth: bool, _: dict[str, str]) -> ClipMetric:
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
    name = "flicker_smooth" if smooth else "flicker"
    return ClipMetric(name, None, text, measure, min_frames=2)


# Made only when asked for: most of them read weights.
_MADE: dict[str, Callable[[dict[str, str]], Any]] = {
    **{name: functools.partial(_perceptual, name) for name in PERCEPTUAL_PROTOCOLS},
    "fid": _fid,
    "kid": _kid,
    "vmaf": _vmaf,
    "flicker": functools.partial(_flicker, False),
    "flicker_smooth": functools.partial(_flicker, True),
}


def known_metrics() -> list[str]:
    """All names that :func:`find_metrics` takes."""
    return sorted([*PROTOCOLS, *_MADE, *SHORT])


def find_metrics(names: Sequence[str], color: str) -> Metrics:
    """The metrics of a report, those of frames and those of clips.

    Args:
      names: what was asked for, names or several joined by commas; empty for the defaults of the
        color, which are also taken where only metrics of clips are named.
      color: ``"luma"`` or ``"rgb"``, what the models work on. Metrics of the other color see
        frames that are converted, which are of 8 bits.

    Raises:
      UserError: an unknown name, one that is defined on unrounded luma where models make RGB, a
        file of weights that holds something else, or nothing left that can be measured.
    """
    made: list[Protocol | ClipMetric] = []
    missing: dict[str, str] = {}
    sources: dict[str, str] = {}
    asked = [n for name in names for n in name.split(",") if n]
    for name in dict.fromkeys(SHORT[n][color] if n in SHORT else n for n in asked):
        if name not in PROTOCOLS and name not in _MADE:
            check_known("metric ", name, known_metrics())
        try:
            metric = PROTOCOLS[name] if name in PROTOCOLS else _MADE[name](sources)
        except EnvironmentFailure as err:
            missing[name] = str(err)
            continue
        if color == "rgb" and isinstance(metric, Protocol) and metric.color == "luma":
            _check_rounded(metric)
        made.append(metric)
    if missing and not made:
        raise EnvironmentFailure("; ".join(f"{n}: {why}" for n, why in missing.items()))
    of_frames = tuple(m for m in made if isinstance(m, Protocol))
    of_clips = tuple(m for m in made if isinstance(m, ClipMetric))
    defaults = tuple(PROTOCOLS[name] for name in DEFAULTS[color])
    return Metrics(of_frames or defaults, of_clips, missing, sources)


def _check_rounded(metric: Protocol) -> None:
    if metric.rounding == "float":
        raise UserError(
            f"metric {metric.name!r} is defined on unrounded luma and models are rgb; choose one "
            f"of 8 bits or of RGB: {', '.join(DEFAULTS['rgb'])}, psnr_y_uint8, ssim_y_gaussian"
        )
