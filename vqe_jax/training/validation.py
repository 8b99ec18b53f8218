"""Validation on whole clips, through the same streaming engine that enhances files.

A clip's gain is the mean over its frames of the metric after minus before (before minus after
where smaller is better), by a named protocol of :mod:`vqe_jax.metrics`: PSNR of unrounded luma, or
of 8-bit RGB, unless the config names another.
Nothing guards the recurrent state here: a run-away must show in the worst clip.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vqe_jax.data.pair import Pair, open_pairs
from vqe_jax.data.stage_inputs import with_inputs
from vqe_jax.errors import UserError, check_known, check_names
from vqe_jax.inference.ahead import compiling_ahead
from vqe_jax.inference.side_info import known_frames
from vqe_jax.inference.stream import enhance_frames
from vqe_jax.metrics import PERCEPTUAL_PROTOCOLS, PROTOCOLS, Protocol, perceptual_protocol, protocol
from vqe_jax.metrics.perceptual import weights_of
from vqe_jax.models import Network
from vqe_jax.training.stages import Evaluation
from vqe_jax.weights import load_perceptual

__all__ = ["Ahead", "Gains", "find_metric", "open_clips", "validate"]

# Frames of a stream after which a network with a state has asked for all its programs.
_ENOUGH = 3


@dataclasses.dataclass(frozen=True)
class Gains:
    """What each clip gained: delta PSNR in dB, say. More is better, whatever the metric.

    Attributes:
      by_clip: clip name -> gain.
      worst_weight: share of the worst clip in the score.
      quantity: of the protocol: "psnr", "lpips", ...
    """

    by_clip: dict[str, float]
    worst_weight: float = 0.5
    quantity: str = "psnr"

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
    def key(self) -> str:
        """How records call it: "delta_psnr", or "gain_lpips" etc."""
        return "delta_psnr" if self.quantity == "psnr" else f"gain_{self.quantity}"

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
    check_names(f"eval.clips: {dataset}", "clip", section.clips, names)
    chosen = [p for p in found if not section.clips or p.name in section.clips]
    if not chosen:
        raise UserError(f"eval: split {section.split!r} of {dataset!r} in {folder} has no clips")
    return chosen


def _frames(pair: Pair, side: str, count: int, channels: int) -> Iterator[np.ndarray]:
    return itertools.islice(pair.frames(side, "luma" if channels == 1 else "rgb"), count)


def find_metric(name: str | None, network: Network) -> Protocol:
    """The protocol that the best model is chosen by.

    Args:
      name: the config's ``eval.protocol``; None: PSNR.
      network: decides between luma and RGB.

    Raises:
      UserError: no such protocol, one of the other color, or weights that are not at hand.
    """
    color = network.color
    name = name or {"luma": "psnr_y", "rgb": "psnr_rgb_uint8"}[color]
    known = [*PROTOCOLS, *PERCEPTUAL_PROTOCOLS]
    check_known("eval.protocol=", name, known)
    if (fitting := _color_of(name)) != color:
        there = ", ".join(n for n in known if _color_of(n) == color)
        raise UserError(
            f"eval.protocol={name!r} is defined on {fitting} and the model works on {color}; "
            f"choose one of {there}"
        )
    if name in PROTOCOLS:
        return protocol(name)
    return perceptual_protocol(name, load_perceptual(weights_of(name)).variables)


def _color_of(name: str) -> str:
    if name in PROTOCOLS:
        return PROTOCOLS[name].color
    return "luma" if name.endswith("_y") else "rgb"


def _enhanced(
    network: Network, variables: Any, pair: Pair, frames: Iterator[np.ndarray]
) -> Iterator[np.ndarray]:
    qp = pair.qp if pair.qp >= 0 else None
    infos = known_frames(network, pair.frame_qps, pair.frame_types, codec=pair.info.codec)
    return enhance_frames((network, variables), frames, qp=qp, infos=infos, guard=None)


class Ahead:
    """Compiles the programs of a validation while something else goes on."""

    def __init__(
        self, network: Network, shapes: Any, clips: Sequence[Pair], section: Evaluation
    ) -> None:
        """Begins, in a thread of its own.

        Args:
          shapes: of the network's variables.
          clips: from :func:`open_clips`.
        """
        self._stopped = False
        work = (network, shapes, clips, section)
        self._thread = threading.Thread(target=self._compile, args=work, name="ahead")
        self._thread.start()

    def _compile(
        self, network: Network, shapes: Any, clips: Sequence[Pair], section: Evaluation
    ) -> None:
        variables = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
        known: set[tuple[int, ...]] = set()
        # What is wrong here comes again where validation does it in earnest, and is said there.
        with contextlib.suppress(Exception), compiling_ahead():
            for pair in clips:
                count = min(len(pair), section.frames or len(pair))
                if network.context.recurrence != "none":
                    count = min(count, _ENOUGH)
                size = (count, *pair.size, network.channels)
                if size in known or self._stopped:
                    continue
                known.add(size)
                zeros = itertools.repeat(np.zeros(size[1:], np.float32), count)
                for _ in _enhanced(network, variables, pair, zeros):
                    if self._stopped:
                        return

    def wait(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Until all is compiled, or the program under way where it is asked to stop."""
        while self._thread.is_alive() and not self._stopped:
            self._stopped = stop()
            self._thread.join(0.1)


def validate(
    network: Network,
    variables: Any,
    clips: Sequence[Pair],
    section: Evaluation,
    metric: Protocol | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
) -> Gains | None:
    """Enhances the clips and measures what was gained.

    Args:
      clips: from :func:`open_clips`.
      section: the config's ``eval``.
      metric: of :func:`find_metric`; None finds it anew.
      stop: asked at every frame; True ends it.

    Returns:
      The gain of each clip; clips of one name at several QPs are told apart by ``@qp``, and by a
      number where that is the same too. None where it was stopped.
    """
    channels = network.channels
    metric = metric or find_metric(section.protocol, network)
    sign = 1 if metric.higher_is_better else -1
    gains: dict[str, float] = {}
    for pair in clips:
        count = min(len(pair), section.frames or len(pair))
        compressed = _frames(pair, "compressed", count, channels)
        enhanced = _enhanced(network, variables, pair, compressed)
        before = _frames(pair, "compressed", count, channels)
        raw = _frames(pair, "raw", count, channels)
        deltas = []
        for after, source, truth in zip(enhanced, before, raw, strict=True):
            if stop():
                return None
            deltas.append(sign * float(metric(after, truth) - metric(source, truth)))
        gains[_label(pair, gains)] = float(np.mean(deltas))
    return Gains(gains, section.worst_weight, metric.quantity)


def _label(pair: Pair, taken: Mapping[str, float]) -> str:
    """A name that no clip has yet: the pair's, with its QP, or with a number too."""
    told = f"{pair.name}@{pair.qp}"
    numbered = (f"{told}-{number}" for number in itertools.count(2))
    return next(n for n in itertools.chain((pair.name, told), numbered) if n not in taken)
