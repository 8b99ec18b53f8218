"""The metrics of steps: taken in one step late, averaged, said, and watched for what is not finite.

Waiting for a step's metrics before the next step is under way would leave the device idle, so they
are read while the next one runs; only those of the first step are waited for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from vqe_jax.errors import UserError
from vqe_jax.training.meter import Meter
from vqe_jax.training.metrics_writer import MetricsWriter, duration

__all__ = ["OffsetWatch", "StepLog"]

# Pixels. Users of EDVR report that training collapses, with colored artifacts, once offsets are
# beyond: nothing inside a crop is sampled any more, so no gradient brings them back.
_FAR = 100.0


class OffsetWatch:
    """Says that deformable offsets run away: when they do, and each time they have doubled.

    Networks with deformable alignment sow ``offset_max`` and ``offset_mean``, in pixels.

    Example:
      >>> watch = OffsetWatch()
      >>> [bool(watch({"offset_max": x})) for x in (12.0, 101.0, 150.0, 210.0)]
      [False, True, False, True]
    """

    def __init__(self) -> None:
        """Nothing has been said yet."""
        self._limit = _FAR

    def __call__(self, metrics: dict[str, float]) -> str | None:
        """A line to say about the metrics of a step, or None."""
        reach = metrics.get("offset_max", 0.0)
        if not reach > self._limit:
            return None
        self._limit = 2 * reach
        mean = f" (mean {metrics['offset_mean']:.3g} px)" if "offset_mean" in metrics else ""
        return (
            f"offsets reach {reach:.0f} px{mean}; beyond {_FAR:.0f} px deformable alignment is "
            "known to collapse: lower the learning rate, set optimizer.clip_norm, add the losses "
            "offset_tv and offset_deviation, or go back to an earlier checkpoint"
        )


@dataclasses.dataclass(frozen=True)
class _Taken:
    number: int  # steps of the run after this one
    metrics: Any  # on the devices
    names: list[str]  # of the batch's clips


class StepLog:
    """The log of one stage's steps."""

    def __init__(
        self,
        writer: MetricsWriter,
        stage: str,
        *,
        last: int,
        every: int,
        max_skipped: int,
        warn: Callable[[dict[str, float]], str | None],
    ) -> None:
        """Begins a log.

        Args:
          last: number of the stage's last step.
          max_skipped: so many steps in a row that are not finite end the run.
          warn: metrics -> a line to say, or None.
        """
        self._writer, self._stage, self._last = writer, stage, last
        self._every, self._max_skipped, self._warn = every, max_skipped, warn
        self._late: _Taken | None = None
        self._meter = Meter()
        self._offsets = OffsetWatch()
        self._skips: list[str] = []
        self._count, self._clock = 0, 0.0

    def push(self, number: int, metrics: Any, names: list[str]) -> None:
        """Takes in the metrics of the step before the one that has just been begun.

        Raises:
          UserError: too many steps in a row were not finite.
        """
        before, self._late = self._late, _Taken(number, metrics, names)
        self._take(before)
        if self._count == 0:
            self.flush()

    def flush(self) -> None:
        """Waits for the step under way and takes in its metrics."""
        before, self._late = self._late, None
        self._take(before)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time that is not the steps'."""
        self._meter.pause()
        yield
        self._meter.go_on()

    def _take(self, taken: _Taken | None) -> None:
        if taken is None:
            return
        values = {k: float(v) for k, v in jax.device_get(taken.metrics).items()}
        finite = not values["skipped_in_a_row"]
        self._meter.add(values, finite=finite)
        self._watch(taken, values, finite=finite)
        if taken.number % self._every == 0 or taken.number == self._last:
            self._writer.train(taken.number, self._stage, self._meter.collect())
        elif self._count == 0 and finite:
            self._writer.first(taken.number, self._stage, values)
        else:
            self._writer.advance(taken.number, self._stage)
        self._estimate(taken.number)

    def _watch(self, taken: _Taken, values: dict[str, float], *, finite: bool) -> None:
        name = _batch_name(taken.number - 1, taken.names)
        self._skips = [] if finite else [*self._skips, name]
        for warning in (self._warn(values), self._offsets(values)):
            if warning:
                self._writer.say(f"step {taken.number}: {warning}")
        if not finite:
            self._writer.say(f"loss or gradient not finite, skipped {name}")
        if len(self._skips) >= self._max_skipped:
            raise UserError(
                f"{len(self._skips)} steps in a row were not finite, the last with "
                f"{self._skips[-1]}, the first with {self._skips[0]}; look at these clips, lower "
                "the learning rate or set optimizer.clip_norm"
            )

    def _estimate(self, number: int) -> None:
        """Says after the second step, the first that compiled nothing, how long the stage takes."""
        self._count += 1
        now = time.perf_counter()
        left = self._last - number
        if self._count == 2 and left > 0:
            each = now - self._clock
            self._writer.say(
                f"about {each:.2g} s a step: {duration(each * left)} for the {left} steps left of "
                f"stage {self._stage!r}"
            )
        self._clock = now


def _batch_name(number: int, names: list[str]) -> str:
    clips = list(dict.fromkeys(names))
    more = f" and {len(clips) - 4} more" if len(clips) > 4 else ""
    return f"batch {number}" + (f" ({', '.join(clips[:4])}{more})" if clips else "")
