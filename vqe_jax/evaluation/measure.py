"""Enhancing one clip with every model and judging all its frames."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from vqe_jax.codes import from_codes, to_codes
from vqe_jax.errors import UserError
from vqe_jax.evaluation.clips import EvalClip
from vqe_jax.evaluation.metrics import ClipMetric
from vqe_jax.evaluation.models import EvalModel
from vqe_jax.inference import Guard, GuardEvent, enhance_frames, enhance_frames_ensemble
from vqe_jax.inference.bidirectional import Spill
from vqe_jax.inference.side_info import known_frames
from vqe_jax.inference.windows import copies
from vqe_jax.metrics import Protocol

__all__ = ["COMPRESSED", "ClipResult", "Options", "measure"]

# The name of the input in every table: the column that models are compared with.
COMPRESSED = "compressed"

Frames = Iterable[np.ndarray]

_CROP = 128
_TIMED_FRAMES = 16


@dataclasses.dataclass(frozen=True)
class Options:
    """How clips are enhanced.

    Attributes:
      stream: keyword arguments of :func:`vqe_jax.inference.enhance_frames`.
      chroma: whose chroma luma is joined with for metrics of RGB: "compressed" or "raw".
    """

    stream: dict[str, Any] = dataclasses.field(default_factory=dict)
    chroma: str = "compressed"

    def enhance(self, model: EvalModel, clip: EvalClip, frames: Frames, **more: Any) -> Frames:
        """The stream of enhanced frames."""
        networks = model.ready(clip.qp)
        if len({n.network.context.references for n in networks}) > 1:
            raise UserError(
                f"{model.label}: its members choose reference frames in unlike ways; "
                "evaluate them one by one"
            )
        told = [
            known_frames(n.network, clip.frame_qps, clip.frame_types, codec=clip.codec)
            for n in networks
            if "infos" not in more
        ]
        infos = next((i for i in told if i is not None), None)
        given = {"qp": clip.qp, "infos": infos, **self.stream, **more}
        if len(networks) * len(model.symmetries) > 1:
            return enhance_frames_ensemble(networks, frames, symmetries=model.symmetries, **given)
        return enhance_frames(networks[0], frames, **given)


@dataclasses.dataclass(frozen=True)
class ClipResult:
    """All that was measured on a clip.

    Attributes:
      values: protocol -> column (``"compressed"`` or a model's label) -> one value a frame;
        without the protocols that this clip has no value for.
      speed: label -> frames per second of the enhancement alone, compilation excluded.
      events: label -> what the guard of the recurrent state had to do.
      crops: column (``"raw"`` too) -> the same small part of the middle frame, ``[h, w, c]``.
      totals: metric of whole clips -> column -> its value; without those that have none.
      left_out: metric -> why this clip has no value for it.
    """

    clip: EvalClip
    values: dict[str, dict[str, np.ndarray]]
    speed: dict[str, float]
    events: dict[str, tuple[str, ...]]
    crops: dict[str, np.ndarray]
    totals: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)

    def gain(self, protocol: str, label: str) -> np.ndarray:
        """Model minus compressed, frame by frame."""
        columns = self.values[protocol]
        return columns[label].astype(np.float64) - columns[COMPRESSED]


def measure(
    clip: EvalClip,
    models: Sequence[EvalModel],
    protocols: Sequence[Protocol],
    options: Options,
    on_frame: Callable[[], None] = lambda: None,
    *,
    clip_metrics: Sequence[ClipMetric] = (),
) -> ClipResult:
    """Measures the compressed clip and what each model makes of it.

    Args:
      models: the models; all of one color.
      on_frame: called after every frame of every column.
      clip_metrics: metrics of whole clips. Enhanced frames are kept for them in a temporary file,
        as 8-bit integers.
    """
    color = models[0].color
    left_out = _unfit(clip, protocols, clip_metrics)
    protocols = [p for p in protocols if p.name not in left_out]
    clip_metrics = [m for m in clip_metrics if m.name not in left_out]
    values: dict[str, dict[str, np.ndarray]] = {p.name: {} for p in protocols}
    speed, events = {}, {}
    totals: dict[str, dict[str, float]] = {m.name: {} for m in clip_metrics}
    middle = clip.count // 2
    raw, compressed = (
        next(itertools.islice(clip.frames(side, color), middle, None))
        for side in ("raw", COMPRESSED)
    )
    part = _telling_part(raw, compressed)
    crops = {"raw": raw[part], COMPRESSED: compressed[part]}

    def take(column: str, frames: Iterable[np.ndarray]) -> None:
        with contextlib.closing(_Spool(frames, kept=bool(clip_metrics))) as spool:
            view = functools.partial(_view, clip, own=color, chroma=options.chroma)
            _measure_frames(clip, view, spool, protocols, values, column, on_frame)
            for metric in clip_metrics:
                wanted = metric.color or color
                seen, truth = view(spool.again(), wanted), clip.frames("raw", wanted)
                totals[metric.name][column] = float(metric.metric(seen, truth))

    take(COMPRESSED, clip.frames(COMPRESSED, color))
    for model in models:
        noted: list[GuardEvent] = []
        seen = _Tap(_enhanced(clip, model, options, noted), middle)
        take(model.label, seen)
        speed[model.label] = _speed(clip, model, options)
        events[model.label] = tuple(map(str, noted))
        crops[model.label] = np.clip(seen.kept[part], 0, 1)
    return ClipResult(clip, values, speed, events, crops, totals, left_out)


def _unfit(
    clip: EvalClip, protocols: Sequence[Protocol], clip_metrics: Sequence[ClipMetric]
) -> dict[str, str]:
    """The metrics that a clip is too small or too short for, and why."""
    side = min(clip.width, clip.height)
    small = {
        p.name: f"it needs {p.min_side} pixels a side, the clip is {clip.width}x{clip.height}"
        for p in protocols
        if side < p.min_side
    }
    short = {
        m.name: f"it needs {m.min_frames} frames, the clip has {clip.count}"
        for m in clip_metrics
        if clip.count < m.min_frames
    }
    return small | short


def _view(
    clip: EvalClip, frames: Iterable[np.ndarray], wanted: str, *, own: str, chroma: str
) -> Iterator[np.ndarray]:
    """Frames in the color that a metric wants."""
    return iter(frames) if wanted == own else clip.converted(frames, wanted, chroma=chroma)


def _enhanced(
    clip: EvalClip, model: EvalModel, options: Options, noted: list[GuardEvent]
) -> Frames:
    more = {} if "guard" in options.stream else {"guard": Guard(report=noted.append)}
    return options.enhance(model, clip, clip.frames(COMPRESSED, model.color), **more)


def _measure_frames(
    clip: EvalClip,
    view: Callable[..., Iterator[np.ndarray]],
    frames: Iterable[np.ndarray],
    protocols: Sequence[Protocol],
    values: dict[str, dict[str, np.ndarray]],
    column: str,
    on_frame: Callable[[], None],
) -> None:
    colors = sorted({p.color for p in protocols})
    each = copies(frames, max(len(colors), 1))
    pairs = [
        zip(view(copy, c), clip.frames("raw", c), strict=True)
        for copy, c in zip(each, colors, strict=False)
    ]
    rows = []
    for found in zip(*pairs, strict=True) if pairs else zip(each[0]):
        seen = dict(zip(colors, found, strict=False))
        rows.append([float(p(*seen[p.color])) for p in protocols])
        on_frame()
    for protocol, row in zip(protocols, zip(*rows, strict=True), strict=True):
        values[protocol.name][column] = np.array(row, np.float32)


def _speed(clip: EvalClip, model: EvalModel, options: Options) -> float:
    """Frames per second of the network on frames in memory, with nothing else going on.

    The engine works ahead of its consumer, so the time of an evaluation says nothing. The first
    of two rounds compiles what is not compiled yet.
    """
    frames = list(itertools.islice(clip.frames(COMPRESSED, model.color), _TIMED_FRAMES))
    seconds = math.inf
    for _ in range(2):
        start = time.perf_counter()
        for _ in options.enhance(model, clip, iter(frames), guard=None):
            pass
        seconds = min(seconds, time.perf_counter() - start)
    return len(frames) / seconds


class _Tap:
    """Passes a stream on and keeps one of its frames."""

    def __init__(self, frames: Iterable[np.ndarray], index: int) -> None:
        self._frames, self._index = frames, index
        self.kept = np.zeros((0, 0, 1), np.float32)

    def __iter__(self) -> Iterator[np.ndarray]:
        for index, frame in enumerate(self._frames):
            if index == self._index:
                self.kept = frame
            yield frame


class _Spool:
    """Passes a stream on and keeps it, rounded to 8 bits, in a file without a name."""

    def __init__(self, frames: Iterable[np.ndarray], *, kept: bool) -> None:
        self._frames, self._kept = frames, kept
        self._file, self._count = Spill(), 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for index, frame in enumerate(self._frames):
            if self._kept:
                self._file.put(index, to_codes(frame))
                self._count = index + 1
            yield frame

    def again(self) -> Iterator[np.ndarray]:
        """The frames once more."""
        for index in range(self._count):
            yield from_codes(self._file.get(index))

    def close(self) -> None:
        self._file.close()


def _telling_part(raw: np.ndarray, compressed: np.ndarray) -> tuple[slice, slice]:
    """Where compression did most damage: chosen without looking at any model's result."""
    error = np.square(raw - compressed).sum(axis=-1, dtype=np.float64)
    height, width = (min(_CROP, side) for side in error.shape)
    total = np.pad(error.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = (
        total[height:, width:]
        - total[:-height, width:]
        - total[height:, :-width]
        + total[:-height, :-width]
    )
    y, x = np.unravel_index(np.argmax(sums), sums.shape)
    return slice(int(y), int(y) + height), slice(int(x), int(x) + width)
