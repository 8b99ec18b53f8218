"""Averages of metrics between two lines, and the time that steps alone take."""

from __future__ import annotations

import time

__all__ = ["Meter"]

# These are as they are, not averaged.
_LATEST = ("learning_rate", "skipped", "skipped_in_a_row")


class Meter:
    """Collects the metrics of steps; time spent paused does not count."""

    def __init__(self) -> None:
        """The clock starts with the first step's end."""
        self._sums: dict[str, float] = {}
        self._latest: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._steps = 0
        self._began: float | None = None
        self._paused: float | None = None

    def add(self, values: dict[str, float], *, finite: bool) -> None:
        """Adds a step; of a skipped one only the counters."""
        if self._began is None:
            self._began = time.perf_counter()  # the first step compiled: its time is not typical
        else:
            self._steps += 1
        for name, value in values.items():
            if name in _LATEST:
                self._latest[name] = value
            elif finite:
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._counts[name] = self._counts.get(name, 0) + 1

    def pause(self) -> None:
        """Stops the clock (validation, checkpoints)."""
        self._paused = time.perf_counter()

    def go_on(self) -> None:
        """Starts it again."""
        if self._paused is not None and self._began is not None:
            self._began += time.perf_counter() - self._paused
        self._paused = None

    def collect(self) -> dict[str, float]:
        """The averages since the last call, with ``steps_per_second`` where that is known."""
        result = {name: total / self._counts[name] for name, total in self._sums.items()}
        result |= self._latest
        now = self._paused or time.perf_counter()
        if self._began is not None and self._steps:
            result["steps_per_second"] = self._steps / max(now - self._began, 1e-9)
            self._began = now
        self._sums, self._counts, self._steps = {}, {}, 0
        return result
