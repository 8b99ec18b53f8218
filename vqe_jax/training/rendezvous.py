"""Several processes of one run find each other, and notice when one is gone.

JAX waits five minutes for a process that was never started and a minute and a half for one that
died, and ends with a stack of C++. Here the processes meet first, on the coordinator's own port,
and keep that connection: whoever is missing, silent or dead is named in a sentence. A process that
ends well says goodbye; one that vanishes without a word ends the others, whose next start goes on
from the last checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from vqe_jax.errors import EnvironmentFailure, UserError, in_words

__all__ = ["joined"]

_BEAT = 2.0  # seconds between signs of life
_SHORTEST = 5  # two signs of life and some more
_WORD = 5.0  # seconds that a stranger may keep the first process busy


@contextlib.contextmanager
def joined(
    coordinator: str | None,
    processes: int | None,
    process: int | None,
    *,
    start_timeout: int = 60,
    peer_timeout: int = 45,
) -> Iterator[None]:
    """Makes this process one of several for as long as the block lasts.

    Args:
      coordinator: ``HOST:PORT`` of the first process; None: JAX asks the cluster for all three, and
        watches by itself.
      start_timeout: seconds to wait for the others at the start.
      peer_timeout: seconds without a sign of life after which a process counts as gone.

    Raises:
      UserError: an address or a number that cannot be, or no cluster to ask.
      EnvironmentFailure: a process has not come; says which.
    """
    import jax

    for name, seconds in (("start", start_timeout), ("peer", peer_timeout)):
        if seconds < _SHORTEST:
            raise UserError(f"--{name}-timeout {seconds}; expected at least {_SHORTEST} seconds")
    links: list[_Link] = []
    if coordinator is not None and processes is not None and process is not None:
        if not 0 <= process < processes:
            raise UserError(f"--process {process} is not one of {processes}: 0 to {processes - 1}")
        address = _address(coordinator)
        meet = _await_others if process == 0 else _join_first
        links = meet(address, processes, process, float(start_timeout))
    elif (coordinator, processes, process) != (None, None, None):
        raise UserError("--coordinator, --processes and --process belong together; give all three")
    # Who watches first names who is gone; JAX ends with a stack of C++.
    heartbeat = 2 * peer_timeout + 20 if links else peer_timeout
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            initialization_timeout=start_timeout,
            heartbeat_timeout_seconds=heartbeat,
            shutdown_timeout_seconds=peer_timeout,
        )
    except ValueError:
        _close(links)
        raise UserError(
            "--distributed: no cluster tells who the processes are; name them: "
            "--coordinator HOST:PORT --processes N --process I"
        ) from None
    except RuntimeError as err:
        _close(links)
        raise EnvironmentFailure(f"the processes do not find each other ({in_words(err)})") from err
    watch = _Watch(links, float(peer_timeout))
    watch.start()
    yield
    watch.leave()


def _address(coordinator: str) -> tuple[str, int]:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"--coordinator {coordinator!r}; expected HOST:PORT, as 10.0.0.1:4321")
    return host, int(port)


class _Link:
    """A connection to another process, and what it is called."""

    def __init__(self, connection: socket.socket, name: str) -> None:
        self.connection, self.name = connection, name
        self.last, self.left = time.monotonic(), False

    def send(self, word: str) -> None:
        with contextlib.suppress(OSError):
            self.connection.sendall(f"{word}\n".encode())


def _close(links: Iterable[_Link]) -> None:
    for link in links:
        link.connection.close()


def _read_line(connection: socket.socket, seconds: float) -> Any:
    """A line of JSON; None where none comes in time."""
    until = time.monotonic() + seconds
    text = b""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        while not text.endswith(b"\n") and len(text) < 10_000:
            if (left := until - time.monotonic()) <= 0:
                return None
            connection.settimeout(left)
            byte = connection.recv(1)
            if not byte:
                return None
            text += byte
        return json.loads(text)
    return None


def _await_others(
    address: tuple[str, int], processes: int, process: int, timeout: float
) -> list[_Link]:
    del process
    until = time.monotonic() + timeout
    listener = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found: dict[int, _Link] = {}
    with listener:
        try:
            listener.bind(("", address[1]))
            listener.listen(processes)
        except OSError as err:
            raise EnvironmentFailure(
                f"port {address[1]} of this host cannot be listened on ({err.strerror}); choose "
                "another --coordinator"
            ) from err
        while len(found) < processes - 1 and time.monotonic() < until:
            listener.settimeout(max(until - time.monotonic(), 0.1))
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                hello = _read_line(connection, _WORD)
                number = _number(hello, processes)
                if number is None:
                    connection.close()  # nobody of this run
                    continue
                if number in found:
                    _close([*found.values(), _Link(connection, "")])
                    raise UserError(f"two processes were started with --process {number}")
                found[number] = _Link(connection, _name(number, processes, str(hello.get("host"))))
    missing = [str(n) for n in range(1, processes) if n not in found]
    if missing:
        _close(found.values())
        raise EnvironmentFailure(
            f"{len(found) + 1} of {processes} processes have come within {timeout:g} s; missing: "
            f"{', '.join(missing)}; start them with --process {missing[0]} ... and --coordinator "
            f"{address[0]}:{address[1]}, or wait longer (--start-timeout)"
        )
    for link in found.values():
        link.send(json.dumps({"host": socket.gethostname()}))
    return list(found.values())


def _number(hello: Any, processes: int) -> int | None:
    """Who introduces himself; None for a stranger to this run."""
    if not isinstance(hello, dict) or hello.get("processes") != processes:
        return None
    number = hello.get("process")
    return number if isinstance(number, int) and 0 < number < processes else None


def _join_first(
    address: tuple[str, int], processes: int, process: int, timeout: float
) -> list[_Link]:
    until = time.monotonic() + timeout
    where = f"{address[0]}:{address[1]}"
    hello = json.dumps({"process": process, "processes": processes, "host": socket.gethostname()})
    while time.monotonic() < until:
        try:
            connection = socket.create_connection(address, timeout=2)
        except OSError:
            time.sleep(0.2)
            continue
        link = _Link(connection, "")
        link.send(hello)
        answer = _read_line(connection, until - time.monotonic() + 5)
        if not isinstance(answer, dict):
            _close([link])
            raise EnvironmentFailure(
                f"the first process at {where} gave up waiting for the others, or is of another "
                f"run; start all {processes} processes within {timeout:g} s (--start-timeout)"
            )
        link.name = _name(0, processes, str(answer.get("host")))
        return [link]
    raise EnvironmentFailure(
        f"the first process does not answer at {where} within {timeout:g} s; start it with "
        f"--process 0, check the address, or wait longer (--start-timeout)"
    )


def _name(number: int, processes: int, host: str) -> str:
    return f"process {number} of {processes} on {host}"


class _Watch(threading.Thread):
    """Exchanges signs of life with the linked processes, and ends this one when one is gone."""

    def __init__(self, links: list[_Link], timeout: float) -> None:
        super().__init__(name="watch over processes", daemon=True)
        self._links, self._timeout = links, timeout
        for link in links:
            link.connection.settimeout(5)
            link.last = time.monotonic()

    def run(self) -> None:
        beaten = 0.0
        while links := [link for link in self._links if not link.left]:
            now = time.monotonic()
            if now - beaten > _BEAT:
                beaten = now
                for link in links:
                    link.send("alive")
            readable, _, _ = select.select([link.connection for link in links], [], [], _BEAT / 2)
            for link in links:
                if link.connection in readable:
                    self._listen(link)
                if not link.left and time.monotonic() - link.last > self._timeout:
                    self._end(f"{link.name} has given no sign of life for {self._timeout:g} s")

    def _listen(self, link: _Link) -> None:
        try:
            heard = link.connection.recv(4096).decode(errors="replace")
        except OSError:
            heard = ""
        link.last = time.monotonic()
        for word in heard.splitlines():
            if word.startswith("gone "):
                self._end(word.removeprefix("gone "))
            link.left |= word == "bye"
        if not heard and not link.left:
            self._end(f"{link.name} is gone")

    def _end(self, what: str) -> None:
        for link in self._links:
            link.send(f"gone {what}")  # those who have no link to it
        message = f"error: {what}; start all processes again: the run goes on from its last save\n"
        with contextlib.suppress(OSError):
            os.write(2, message.encode())
        sys.stdout.flush()
        # Nothing that waits for the other process would ever end.
        os._exit(1)

    def leave(self) -> None:
        """Says goodbye."""
        for link in self._links:
            link.left = True
            link.send("bye")
        if self.is_alive():
            self.join(_BEAT * 2)
        for link in self._links:
            link.connection.close()
