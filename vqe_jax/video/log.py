"""FFmpeg's log: captured in one thread while something runs, or only its errors counted."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import av

__all__ = ["captured", "counting_errors"]

# The level of FFmpeg's log is one for the process; it is the most that anybody asks for.
_ONE_AT_A_TIME, _LEVEL = threading.Lock(), threading.RLock()
_asked: list[int] = []
_own: list[int | None] = [None]  # what was set when nobody here asked


@contextlib.contextmanager
def _level(level: int) -> Iterator[None]:
    with _LEVEL:
        if not _asked:
            _own[0] = av.logging.get_level()
        _asked.append(level)
        av.logging.set_level(max(_asked))
    try:
        yield
    finally:
        with _LEVEL:
            _asked.remove(level)
            av.logging.set_level(max(_asked) if _asked else _own[0])


@contextlib.contextmanager
def captured(level: int) -> Iterator[list[tuple[int, str, str]]]:
    """Collects (level, name, text) of what FFmpeg says in this thread inside the ``with`` block.

    Args:
      level: the least important to collect, such as ``av.logging.WARNING``.
    """
    with _ONE_AT_A_TIME:
        skipping = av.logging.get_skip_repeated()
        av.logging.set_skip_repeated(False)
        try:
            with _level(level), av.logging.Capture() as logs:
                yield logs
        finally:
            av.logging.set_skip_repeated(skipping)


@contextlib.contextmanager
def counting_errors() -> Iterator[None]:
    """Makes ``av.logging.get_last_error`` count the errors of all threads; nothing is printed.

    FFmpeg's decoders write from threads of their own, which then need Python's lock. Whoever
    decodes must empty the decoder (``flush_buffers``) before it closes it, since closing waits
    for those threads with the lock in hand.
    """
    with _level(av.logging.PANIC):  # errors are counted at any level, and shown at none below
        yield
