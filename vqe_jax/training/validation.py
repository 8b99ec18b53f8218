"""Validation on whole clips, through the same streaming engine that enhances files.

A clip's gain is the mean over its frames of the metric after minus before, by a named protocol of
:mod:`vqe_jax.metrics` (PSNR of unrounded luma, or of 8-bit RGB, unless the config names another).
Nothing guards the recurrent state here: a run-away must show in the worst clip.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vqe_jax.data.inputs import with_inputs
from vqe_jax.data.pairs import Pair, open_pairs
from vqe_jax.data.pipeline import to_float
from vqe_jax.errors import UserError, near_misses
from vqe_jax.inference.stream import enhance_frames
from vqe_jax.metrics import protocol
from vqe_jax.models import Network
from vqe_jax.training.stages import Evaluation

__all__ = ["Gains", "open_clips", "validate"]


@dataclasses.dataclass(frozen=True)
class Gains:
    """Delta PSNR in dB of each clip.

    Attributes:
      by_clip: clip name -> gain.
      worst_weight: share of the worst clip in the score.
    """

    by_clip: dict[str, float]
    worst_weight: float = 0.5

    @property
    def mean(self) -> float:
        """Over the clips."""
        return float(np.mean(list(self.by_clip.values())))

    @property
    def worst(self) -> float:
        """The smallest; not a number if any is not."""
        return float(np.min(list(self.by_clip.values())))

    @property
    def score(self) -> float:
        """What the best model is chosen by."""
        value = (1 - self.worst_weight) * self.mean + self.worst_weight * self.worst
        return value if np.isfinite(value) else -np.inf

    @property
    def worst_clip(self) -> str:
        """Its name."""
        return min(self.by_clip, key=lambda name: self.by_clip[name])


def open_clips(section: Evaluation, data: Mapping[str, Any]) -> list[Pair]:
    """The validation clips.

    Args:
      section: the config's ``eval``.
      data: the run's data settings, for what ``eval`` leaves open.

    Raises:
      UserError: no such data set, or a clip that it does not hold.
    """
    dataset = section.dataset or data["dataset"]
    folder = section.data_dir or data["data_dir"]
    config_name = section.config_name or data["config_name"]
    found = open_pairs(folder, dataset, section.split, config_name)
    found = with_inputs(found, section.inputs_dir)
    names = [pair.name for pair in found]
    for name in section.clips:
        if name not in names:
            raise UserError(f"eval.clips: {dataset} has no clip {name!r}{near_misses(name, names)}")
    chosen = [p for p in found if not section.clips or p.name in section.clips]
    if not chosen:
        raise UserError(f"eval: split {section.split!r} of {dataset!r} in {folder} has no clips")
    return chosen


def _frames(pair: Pair, side: str, count: int, channels: int) -> Iterator[np.ndarray]:
    for index in range(count):
        read = getattr(pair, f"{side}_{'luma' if channels == 1 else 'rgb'}")
        frame = np.asarray(read(index, 1))[0]
        frame = to_float(frame)
        yield frame[..., None] if channels == 1 else frame


def validate(network: Network, variables: Any, clips: Sequence[Pair], section: Evaluation) -> Gains:
    """Enhances the clips and measures what was gained.

    Args:
      network: the module.
      variables: its variables.
      clips: from :func:`open_clips`.
      section: the config's ``eval``.

    Returns:
      The gain of each clip; clips of one name at several QPs are told apart by ``@qp``.
    """
    channels = getattr(network, "channels", 1)
    default = "psnr_y" if channels == 1 else "psnr_rgb_uint8"
    judge = protocol(section.protocol or default)
    gains: dict[str, float] = {}
    for pair in clips:
        count = min(len(pair), section.frames or len(pair))
        compressed = _frames(pair, "compressed", count, channels)
        enhanced = enhance_frames((network, variables), compressed, qp=pair.qp, guard=None)
        before = _frames(pair, "compressed", count, channels)
        raw = _frames(pair, "raw", count, channels)
        deltas = [
            float(judge(after, truth) - judge(source, truth))
            for after, source, truth in zip(enhanced, before, raw, strict=True)
        ]
        name = pair.name if pair.name not in gains else f"{pair.name}@{pair.qp}"
        gains[name] = float(np.mean(deltas))
    return Gains(gains, section.worst_weight)
