"""How the benchmarks time things beside one another, and what a compiled program needs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

__all__ = ["Times", "needed_bytes", "race"]


class Times(NamedTuple):
    """Medians of one side, milliseconds."""

    wall: float
    processor: float


def race(contenders: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, Times]:
    """Calls that take turns, so that whatever else the machine does meets them alike.

    Args:
      contenders: each returns when its work is done.
      repeats: of each, after a first call; with none the first call counts.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for run in contenders.values() if repeats else ():
        run()
    for _ in range(max(repeats, 1)):
        for name, run in contenders.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            taken[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {
        name: Times(*(1e3 * statistics.median(axis) for axis in zip(*pairs, strict=True)))
        for name, pairs in taken.items()
    }


def needed_bytes(program: Any) -> int:
    """Temporary buffers, arguments and results of a compiled program, by XLA's analysis."""
    found = program.memory_analysis()
    total = found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes
    return total - found.alias_size_in_bytes
