"""Stopping on request: the first signal asks, the second one kills."""

from __future__ import annotations

import os
import signal
import threading
import types
from collections.abc import Callable
from typing import Any

import jax

__all__ = ["Interrupts"]

_HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none
_NUMBERS = [n for n in (signal.SIGTERM, signal.SIGINT, _HANGUP) if n is not None]


class Interrupts:
    """Listens for SIGTERM, SIGINT and SIGHUP (the terminal is gone) while a run goes on.

    The handler only sets a flag: saving inside a handler has torn checkpoints elsewhere. With
    several processes all of them learn of a SIGTERM to any one and stop at the same step.

    Python calls handlers between two of its own instructions, and a program may compile for
    minutes before the next: a thread that the signals wake answers them at once.
    """

    def __init__(self, say: Callable[[str], None] | None = None) -> None:
        """Listens from ``with`` on.

        Args:
          say: told, in a line, what the first signal leads to.
        """
        self._say = say
        self._signal: int | None = None
        self._before: dict[int, Any] = {}
        self._watch: _Watch | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _NUMBERS:
                if jax.process_count() > 1 and number == signal.SIGTERM:
                    continue  # the runtime's own handler tells the other processes
                if number == _HANGUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # nohup: the run shall outlive its terminal
                self._before[number] = signal.signal(number, self._handle)
            self._watch = _Watch(tuple(self._before), self._say)
        return self

    def __exit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.close()
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

            agreed = multihost_utils.reached_preemption_sync_point(step)
            if agreed and self._watch is not None:
                self._listen_for_the_second(self._watch)
            return agreed
        return self._signal is not None

    def _listen_for_the_second(self, watch: _Watch) -> None:
        """All know of the first signal; the runtime's handler has done its work."""
        self._signal = self._signal or signal.SIGTERM
        self._before.setdefault(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, self._handle)
        watch.tell(signal.SIGTERM)

    def _handle(self, number: int, _: types.FrameType | None) -> None:
        if self._signal is not None:
            os._exit(128 + number)
        self._signal = number
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)


class _Watch(threading.Thread):
    """Says what the first of some signals leads to, and ends the process at the second."""

    def __init__(self, numbers: tuple[int, ...], say: Callable[[str], None] | None) -> None:
        super().__init__(name="signals", daemon=True)
        self._numbers, self._say = set(numbers), say
        self._told = False
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self.start()

    def run(self) -> None:
        while data := os.read(self._read, 1):
            if (number := data[0]) not in self._numbers:
                continue
            if self._told:
                os._exit(128 + number)
            self.tell(number)

    def tell(self, number: int) -> None:
        """The first signal was this one; whoever sent it may have done so elsewhere."""
        self._numbers.add(number)
        if self._told:
            return
        self._told = True
        if self._say is not None:
            name = signal.Signals(number).name
            self._say(f"{name}: the run saves and stops; a second signal ends it at once")

    def close(self) -> None:
        signal.set_wakeup_fd(self._before)
        os.close(self._write)
        self.join()
        os.close(self._read)
