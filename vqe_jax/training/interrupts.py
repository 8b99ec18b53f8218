"""Stopping on request: the first signal asks, the second one kills."""

from __future__ import annotations

import os
import signal
import threading
import types
from typing import Any

import jax

__all__ = ["Interrupts"]

_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none
_NUMBERS = [n for n in (signal.SIGTERM, signal.SIGINT, _HANGUP) if n is not None]


class Interrupts:
    """Listens for SIGTERM, SIGINT and SIGHUP (the terminal is gone) while a run goes on.

    The handler only sets a flag: saving inside a handler has torn checkpoints elsewhere. With
    several processes all of them learn of a SIGTERM to any one and stop at the same step.
    """

    def __init__(self) -> None:
        self._signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _NUMBERS:
                if jax.process_count() > 1 and number == signal.SIGTERM:
                    continue  # the runtime's own handler tells the other processes
                if number == _HANGUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # nohup: the run shall outlive its terminal
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """128 plus the signal, as shells have it."""
        return 128 + (self._signal or signal.SIGTERM)

    @property
    def flagged(self) -> bool:
        """Whether this process was signaled; unlike :meth:`asked`, no agreement between several."""
        return self._signal is not None

    def asked(self, step: int) -> bool:
        """Whether the run should save and stop before this step."""
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            return multihost_utils.reached_preemption_sync_point(step)
        return self._signal is not None

    def _handle(self, number: int, _: types.FrameType | None) -> None:
        if self._signal is not None:
            os._exit(128 + number)
        self._signal = number
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)
