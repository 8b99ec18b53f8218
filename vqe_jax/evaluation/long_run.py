"""Does a gain last? A clip played back and forth for thousands of frames.

A recurrence trained on short clips can drift or run away on long ones, and means over short clips
do not show it. Played back and forth, a clip is as long as one likes and has no cut. The last
frames are compared with the same frames seen in the same direction in the first round, so that
only what happened in between can make a difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vqe_jax.codes import from_codes, to_codes
from vqe_jax.errors import UserError
from vqe_jax.evaluation.clips import EvalClip
from vqe_jax.evaluation.measure import Options
from vqe_jax.evaluation.models import EvalModel
from vqe_jax.evaluation.tables import Table
from vqe_jax.inference import Guard
from vqe_jax.inference.side_info import known_frames
from vqe_jax.metrics import Protocol

__all__ = [
    "ALLOWED_DRIFT",
    "LongRun",
    "back_and_forth",
    "check_length",
    "long_run",
    "long_run_table",
]

# dB between the gain of the last hundred frames and that of the first.
ALLOWED_DRIFT = 0.05

_COMPARED = 100


@dataclasses.dataclass(frozen=True)
class LongRun:
    """A gain over a long time.

    Attributes:
      gains: metric gained at every frame played.
      sizes: root mean square of the recurrent state at every frame; empty without a state.
    """

    clip: str
    gains: np.ndarray
    period: int
    sizes: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))

    @property
    def last(self) -> float:
        """Mean gain of the last hundred frames."""
        return float(self.gains[-_COMPARED:].mean())

    @property
    def first(self) -> float:
        """Mean gain of the same frames, in the same direction, in the first round."""
        places = np.arange(len(self.gains))[-_COMPARED:] % self.period
        return float(self.gains[places].mean())

    @property
    def first_hundred(self) -> float:
        """Mean gain of the first hundred frames, whatever they show."""
        return float(self.gains[:_COMPARED].mean())

    @property
    def drift(self) -> float:
        """Last minus first."""
        return self.last - self.first

    @property
    def is_flat(self) -> bool:
        """Whether the drift is within :data:`ALLOWED_DRIFT`; never if it is not a number."""
        return abs(self.drift) <= ALLOWED_DRIFT


def _period(count: int) -> int:
    return max(1, 2 * (count - 1))


def check_length(clip: EvalClip, length: int) -> None:
    """Refuses a run whose last frames would be compared with themselves.

    Raises:
      UserError: says how many frames it takes.
    """
    least = _COMPARED + max(_COMPARED, _period(clip.count))
    if length < least:
        raise UserError(
            f"a long run of {length} frames is too short for {clip.title}, which has "
            f"{clip.count}; at least {least}"
        )


def back_and_forth(count: int, length: int) -> Iterator[int]:
    """Indices of a clip played to its end, back to its beginning, and so on.

    Example:
      >>> list(back_and_forth(3, 8))
      [0, 1, 2, 1, 0, 1, 2, 1]
    """
    period = _period(count)
    for i in range(length):
        place = i % period
        yield place if place < count else period - place


def long_run(
    clip: EvalClip,
    model: EvalModel,
    protocol: Protocol,
    *,
    length: int = 2000,
    on_frame: Callable[[], None] = lambda: None,
    **options: Any,
) -> LongRun:
    """Enhances a clip played back and forth and measures every frame's gain.

    The guard of the state only watches, unless ``options`` bring another: what is asked is
    whether the network itself is stable.

    Args:
      clip: what to play; its frames are held as 8-bit integers.
      on_frame: called after every frame.
      **options: those of :func:`vqe_jax.inference.enhance_frames`.

    Raises:
      UserError: too short for this clip, as :func:`check_length` says.
    """
    check_length(clip, length)
    sides = {side: _held(clip, side, model.color) for side in ("compressed", "raw")}

    order = list(back_and_forth(clip.count, length))

    def play(side: str) -> Iterator[np.ndarray]:
        for index in order:
            yield from_codes(sides[side][index])

    before = [
        float(protocol(from_codes(sides["compressed"][i]), from_codes(sides["raw"][i])))
        for i in range(clip.count)
    ]
    sizes: list[float] = []
    watching = Guard(passive=True, observe=lambda _frame, size, _change: sizes.append(size))
    told = known_frames(
        model.ready(clip.qp)[0].network,
        [clip.frame_qps[i] for i in order],
        [clip.frame_types[i] for i in order],
        codec=clip.codec,
    )
    stream = Options({"guard": watching, **options}).enhance(
        model, clip, play("compressed"), infos=told
    )
    gains = np.empty(length, np.float64)
    for i, (index, frame) in enumerate(zip(order, stream, strict=True)):
        gains[i] = float(protocol(frame, from_codes(sides["raw"][index]))) - before[index]
        on_frame()
    return LongRun(clip.name, gains, _period(clip.count), np.array(sizes))


def _held(clip: EvalClip, side: str, color: str) -> list[np.ndarray]:
    return [to_codes(frame) for frame in clip.frames(side, color)]


def long_run_table(label: str, protocol: Protocol, runs: list[LongRun]) -> Table:
    """First and last gains of each clip."""
    rows = tuple(
        (
            run.clip,
            f"{run.first_hundred:+.3f}",
            f"{run.first:+.3f}",
            f"{run.last:+.3f}",
            f"{run.drift:+.4f}",
            f"{run.gains.min():+.2f}",
            f"{run.sizes.max():.3g}" if run.sizes.size else "",
            "flat" if run.is_flat else "DRIFTS",
        )
        for run in runs
    )
    length = len(runs[0].gains)
    note = (
        f"Gain in {protocol.name} (dB) over {length} frames, clips played back and forth, state "
        f"not guarded. The last {_COMPARED} frames against the same frames in the first round; "
        f"flat is within {ALLOWED_DRIFT} dB."
    )
    header = (
        "clip",
        "first 100",
        "same frames first",
        "last 100",
        "drift",
        "worst frame",
        "largest state",
        "",
    )
    return Table(f"Long run of {label}", note, header, rows)
