"""Exact copies of the frame before are enhanced once, and shown as often as they came.

The winner of NTIRE 2022 did so: a copy tells a network nothing, but takes the place of a neighbor
that would.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from vqe_jax.inference.resolve import Frame
from vqe_jax.models.side import FrameInfo

__all__ = ["Copies", "each_once"]

# A still picture is let through again after so many copies: they wait for their result in memory.
_LONGEST_RUN = 32


@dataclasses.dataclass
class Copies:
    """What has been counted so far.

    Attributes:
      copies: how many equal the frame before to the bit and were not enhanced themselves.
    """

    frames: int = 0
    copies: int = 0


def each_once(
    enhance: Callable[..., Iterator[np.ndarray]],
    frames: Iterable[Frame],
    *,
    infos: Iterable[FrameInfo] | None = None,
    count: Copies | None = None,
) -> Iterator[np.ndarray]:
    """Enhances the frames that differ from the one before; copies get the same result.

    Args:
      enhance: of a stream, called once as ``enhance(frames, infos=infos)``; one result a frame.
      infos: what is known of each; that of a run's first frame is passed on.

    Yields:
      One result for each of the frames, in their order.

    Example:
      >>> frames = [np.full((1, 1, 1), x) for x in (1.0, 1.0, 2.0)]
      >>> seen = Copies()
      >>> double = lambda stream, infos: (2 * frame for frame in stream)
      >>> [float(x.item()) for x in each_once(double, frames, count=seen)], seen
      ([2.0, 2.0, 4.0], Copies(frames=3, copies=1))
    """
    runs = _Runs(frames, infos, count or Copies())
    told = None if infos is None else runs.infos()
    held: Any = None
    for result in enhance(runs.pictures(), infos=told):
        # The picture of this result has been read, so the run before it is over.
        if held is not None:
            yield from [held] * runs.lengths.popleft()
        held = result
    if held is not None:
        yield from [held] * runs.lengths.popleft()


class _Runs:
    """A stream cut into runs of equal frames."""

    def __init__(
        self, frames: Iterable[Frame], infos: Iterable[FrameInfo] | None, count: Copies
    ) -> None:
        self.lengths: collections.deque[int] = collections.deque()
        self._frames, self._count = frames, count
        self._infos = None if infos is None else iter(infos)
        self._told: collections.deque[FrameInfo] = collections.deque()

    def pictures(self) -> Iterator[Frame]:
        """The first frame of each run."""
        before: Any = None
        for frame in self._frames:
            info = None if self._infos is None else next(self._infos, None)
            self._count.frames += 1
            if (
                before is not None
                and self.lengths[-1] < _LONGEST_RUN
                and np.array_equal(frame, before)
            ):
                self.lengths[-1] += 1
                self._count.copies += 1
                continue
            before = frame
            self.lengths.append(1)
            if info is not None:
                self._told.append(info)
            yield frame

    def infos(self) -> Iterator[FrameInfo]:
        """What is known of each such frame, read after it."""
        while self._told:
            yield self._told.popleft()
