"""FFmpeg's log of this thread, captured while something runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import av

__all__ = ["captured"]

# The level of FFmpeg's log is one for the process.
_LEVEL = threading.Lock()


@contextlib.contextmanager
def captured(level: int) -> Iterator[list[tuple[int, str, str]]]:
    """Collects (level, name, text) of what FFmpeg says in this thread inside the ``with`` block.

    Args:
      level: the least important to collect, such as ``av.logging.WARNING``.
    """
    with _LEVEL:
        before = av.logging.get_level()
        skipping = av.logging.get_skip_repeated()
        av.logging.set_level(level)
        av.logging.set_skip_repeated(False)
        try:
            with av.logging.Capture() as logs:
                yield logs
        finally:
            av.logging.set_level(before)
            av.logging.set_skip_repeated(skipping)
