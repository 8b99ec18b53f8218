"""Commands that are asked to end: the first signal goes through every ``with``, a second kills."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["stopping"]

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    """Ends the block by an exception at the first signal, so that nothing stays half-written.

    What the shell has told the process to ignore stays ignored: SIGHUP under ``nohup``, SIGINT in
    the background.

    Raises:
      KeyboardInterrupt: at SIGINT.
      SystemExit: at SIGTERM and SIGHUP, with 128 plus its number.
    """

    def stop(number: int, _frame: object) -> None:
        for other in before:  # whatever is still being closed, a second one kills
            signal.signal(other, signal.SIG_DFL)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    here = threading.current_thread() is threading.main_thread()
    numbers = [n for n in numbers if here and signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
