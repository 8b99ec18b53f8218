"""Frames with their neighbors, from a stream that is read once and never held as a whole."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

__all__ = ["Piece", "chunks", "copies", "overlapping", "surrounded", "windows"]

T = TypeVar("T")


def windows(frames: Iterable[T], past: int, future: int) -> Iterator[tuple[T, ...]]:
    """Gives each frame with its neighbors; those that do not exist are the nearest that does.

    Args:
      future: frames after it; the stream is read that far ahead.

    Yields:
      ``past + 1 + future`` frames around each frame.

    Example:
      >>> list(windows("abc", past=1, future=1))
      [('a', 'a', 'b'), ('a', 'b', 'c'), ('b', 'c', 'c')]
    """
    source = iter(frames)
    ahead = deque(itertools.islice(source, future + 1))
    if not ahead:
        return
    behind = deque([ahead[0]] * past, maxlen=past)
    while ahead:
        missing = [ahead[-1]] * (future + 1 - len(ahead))
        yield (*behind, *ahead, *missing)
        behind.append(ahead.popleft())
        ahead.extend(itertools.islice(source, 1))


def copies(frames: Iterable[T], count: int) -> tuple[Iterator[T], ...]:
    """Reads a stream several times over, holding what the slowest reader has yet to read.

    As :func:`itertools.tee`, which holds up to 57 items more: gigabytes, where these are frames.

    Example:
      >>> first, second = copies("ab", 2)
      >>> next(first), list(second), list(first)
      ('a', ['a', 'b'], ['b'])
    """
    source = iter(frames)
    waiting: list[deque[T]] = [deque() for _ in range(count)]

    def reader(own: deque[T]) -> Iterator[T]:
        while True:
            if not own:
                ahead = tuple(itertools.islice(source, 1))
                if not ahead:
                    return
                for each in waiting:
                    each.extend(ahead)
                del ahead
            yield own.popleft()

    return tuple(reader(own) for own in waiting)


def chunks(
    frames: Iterable[T], size: int, past: int, future: int
) -> Iterator[tuple[tuple[T, ...], int]]:
    """Cuts a stream into pieces of ``size`` frames, each with its neighbors on both sides.

    The last piece of several repeats its last window until it is as long as the others, so that
    one compiled program serves them all.

    Args:
      size: frames a piece, neighbors not counted.

    Yields:
      The frames of a piece with its neighbors, and how many of its results are wanted.

    Example:
      >>> list(chunks("abc", 2, past=1, future=0))
      [(('a', 'a', 'b'), 2), (('b', 'c', 'c'), 1)]
    """
    each = windows(frames, past, future)
    is_first = True
    while group := list(itertools.islice(each, size)):
        wanted = len(group)
        if not is_first:
            group += [group[-1]] * (size - wanted)
        is_first = False
        middle = [window[past] for window in group]
        yield (*group[0][:past], *middle, *group[-1][past + 1 :]), wanted


@dataclasses.dataclass(frozen=True)
class Piece(Generic[T]):
    """Frames ``start .. stop - 1`` of ``items`` are the piece, the others its surroundings."""

    items: tuple[T, ...]
    start: int
    stop: int


def surrounded(frames: Iterable[T], size: int, past: int, future: int) -> Iterator[Piece[T]]:
    """Cuts a stream into pieces of ``size`` frames with the frames around them that exist.

    Args:
      frames: any stream; no more than ``past + size + future`` of it are held.
      size: frames a piece; the last may have fewer.
      past: frames before a piece that are kept.
      future: frames after it that are read ahead.

    Example:
      >>> [(p.items, p.start, p.stop) for p in surrounded("abc", 2, past=1, future=1)]
      [(('a', 'b', 'c'), 0, 2), (('b', 'c'), 1, 2)]
    """
    source = iter(frames)
    held = list(itertools.islice(source, size + future))
    start = 0
    while start < len(held):
        stop = min(start + size, len(held))
        yield Piece(tuple(held), start, stop)
        first = max(0, stop - past)
        held = held[first:] + list(itertools.islice(source, size))
        start = stop - first


def overlapping(frames: Iterable[T], size: int, overlap: int) -> Iterator[list[T]]:
    """Cuts a stream into pieces of at most ``size`` frames that share ``overlap`` frames.

    Example:
      >>> ["".join(piece) for piece in overlapping("abcdefg", 4, 2)]
      ['abcd', 'cdef', 'efg']
    """
    source = iter(frames)
    piece = list(itertools.islice(source, size))
    while piece:
        yield piece
        new = list(itertools.islice(source, size - overlap)) if len(piece) == size else []
        piece = piece[size - overlap :] + new if new else []
