"""Processes of one run that are missing, silent or gone are named, and soon."""

import contextlib
import re
import socket
import threading
import time

import jax
import pytest

from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.training import cli, rendezvous
from vqe_jax.training.rendezvous import _await_others, _close, _join_first, _Watch


def address() -> tuple[str, int]:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return "localhost", listener.getsockname()[1]


def together(*calls):
    """Runs calls at the same time; their results, or their errors."""
    results = [None] * len(calls)

    def keep(index, call):
        try:
            results[index] = call()
        except Exception as err:
            results[index] = err

    threads = [threading.Thread(target=keep, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_all_who_come_know_each_other():
    where = address()
    first, *others = together(
        lambda: _await_others(where, 3, 0, 30.0), lambda: _join_first(where, 3, 1, 30.0),
        lambda: _join_first(where, 3, 2, 30.0),
    )  # fmt: skip
    assert sorted(link.name.split(" on ")[0] for link in first) == [
        "process 1 of 3",
        "process 2 of 3",
    ]
    assert all(link.name.startswith("process 0 of 3 on ") for [link] in others)
    _close([*first, *others[0], *others[1]])


def test_who_is_missing_is_named():
    where = address()
    first, other = together(
        lambda: _await_others(where, 4, 0, 3.0), lambda: _join_first(where, 4, 2, 30.0)
    )
    assert isinstance(first, EnvironmentFailure) and "missing: 1, 3;" in str(first)
    assert isinstance(other, EnvironmentFailure) and "gave up waiting" in str(other)
    with pytest.raises(EnvironmentFailure, match=r"does not answer at localhost:\d+ within 0\.3 s"):
        _join_first(address(), 2, 1, 0.3)


def test_strangers_and_doubles_on_the_port():
    where = address()

    def stranger():
        time.sleep(0.2)
        with socket.create_connection(where) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")

    first, _, other = together(
        lambda: _await_others(where, 2, 0, 30.0), stranger, lambda: _join_first(where, 2, 1, 30.0)
    )
    assert len(first) == 1 and len(other) == 1
    _close([*first, *other])
    where = address()
    first, *_ = together(
        lambda: _await_others(where, 3, 0, 30.0), lambda: _join_first(where, 3, 1, 30.0),
        lambda: _join_first(where, 3, 1, 30.0),
    )  # fmt: skip
    assert isinstance(first, UserError) and "two processes were started with --process 1" in str(
        first
    )


@pytest.mark.parametrize(
    "hello",
    [b"", b"{}", b'{"processes": 2}', b'{"processes": 2, "process": 0}', b"[" * 5000 + b"\n",
     b'{"processes": 2, "process": 7}', b'{"processes": 2, "process": "1"}', b"\xff\x00\n"],
)  # fmt: skip
def test_whoever_calls_the_port_is_no_process_by_that(hello):
    where = address()

    def stranger():
        connection = None
        while connection is None:
            with contextlib.suppress(OSError):
                connection = socket.create_connection(where)
        with contextlib.suppress(OSError), connection:
            connection.sendall(hello + b"\n")
            connection.shutdown(socket.SHUT_WR)
            connection.recv(10)

    listening = threading.Thread(target=stranger)
    listening.start()
    first, other = together(
        lambda: _await_others(where, 2, 0, 30.0),
        lambda: (listening.join(), _join_first(where, 2, 1, 30.0))[1],
    )
    assert [link.name.split(" on ")[0] for link in first] == ["process 1 of 2"]
    _close([*first, *other])


def test_one_who_speaks_slowly_keeps_nobody_waiting(monkeypatch):
    monkeypatch.setattr(rendezvous, "_WORD", 0.3)
    where, heard = address(), []

    def dripping():
        with contextlib.suppress(OSError), socket.create_connection(where) as connection:
            for _ in range(3000):
                connection.sendall(b"x")
                time.sleep(0.01)
        heard.append("closed")

    def join():
        slow = threading.Thread(target=dripping)
        time.sleep(0.2)
        slow.start()
        return _join_first(where, 2, 1, 30.0), slow

    first, (other, slow) = together(lambda: _await_others(where, 2, 0, 30.0), join)
    _close([*first, *other])
    slow.join()
    assert heard == ["closed"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--processes 2", "--processes needs --distributed"),
        ("--process 1 --coordinator h:1", "--coordinator needs --distributed"),
        ("--peer-timeout 30", "--peer-timeout needs --distributed"),
        ("--distributed --processes 2", "belong together; give all three"),
        ("--distributed --coordinator h:1 --process 0", "belong together; give all three"),
        ("--distributed --coordinator h:1 --processes 2 --process 2", "--process 2 is not one of"),
        ("--distributed --coordinator h:1 --processes 0 --process 0", "--process 0 is not one of"),
        ("--distributed --start-timeout 0", "--start-timeout 0; expected at least 5 seconds"),
        ("--distributed --peer-timeout -3", "--peer-timeout -3; expected at least 5 seconds"),
        ("--distributed --config.distributed.peer_timeout=1", "--peer-timeout 1; expected"),
        ("--distributed --config.distributed.start_timeout=x", "start_timeout"),
    ],
)
def test_flags_that_leave_each_process_alone_are_mistakes(flags, said, monkeypatch):
    for name in ("SLURM_JOB_ID", "OMPI_MCA_orte_hnp_uri", "JAX_COORDINATOR_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        cli.main(["--config=vig:demo", *flags.split()])
    assert "\n" not in str(caught.value)


def test_without_a_cluster_the_processes_must_be_named(monkeypatch):
    """What JAX says where it finds none; in a process that has computed it says something else."""

    def alone(*who, **limits):
        raise ValueError("coordinator_address should be defined.")

    monkeypatch.setattr(jax.distributed, "initialize", alone)
    with pytest.raises(UserError, match="no cluster tells who the processes are"):
        cli.main(["--config=vig:demo", "--distributed"])


def test_how_long_to_wait_is_said_by_the_config_and_by_flags(monkeypatch):
    asked = {}

    def joined(*who, **limits):
        asked.update(limits)
        raise UserError("enough")

    monkeypatch.setattr(rendezvous, "joined", joined)
    command = ["--config=vig:demo", "--distributed", "--config.distributed.start_timeout=90"]
    for more, expected in (([], (90, 45)), (["--start-timeout=7", "--peer-timeout=8"], (7, 8))):
        with pytest.raises(UserError, match="enough"):
            cli.main([*command, *more])
        assert (asked["start_timeout"], asked["peer_timeout"]) == expected


@pytest.mark.parametrize("coordinator", ["here", "host:", "host:99999", ":12", "host:port"])
def test_addresses_that_cannot_be(coordinator):
    with pytest.raises(UserError, match="expected HOST:PORT"), rendezvous.joined(coordinator, 2, 0):
        pass


@pytest.mark.parametrize(
    ("end", "said"),
    [("close", "process 1 of 2 on .* is gone"), ("silence", "no sign of life"), ("bye", None)],
)
def test_one_that_goes_is_noticed_and_one_that_leaves_is_let_go(monkeypatch, end, said):
    where = address()
    first, other = together(
        lambda: _await_others(where, 2, 0, 30.0), lambda: _join_first(where, 2, 1, 30.0)
    )
    ended = []
    monkeypatch.setattr(rendezvous, "_BEAT", 0.1)

    def stop(self, what):
        ended.append(what)
        for link in self._links:
            link.left = True  # as if the process had ended

    monkeypatch.setattr(_Watch, "_end", stop)
    watch = _Watch(first, 0.5 if end == "silence" else 60.0)
    watch.start()
    other_watch = _Watch(other, 60.0)
    if end == "bye":
        other_watch.leave()
    if end != "silence":
        other[0].connection.close()
    watch.join(60)
    assert not watch.is_alive()
    _close([*first, *other])
    if said is None:
        assert ended == []
    else:
        assert re.search(said, ended[0])
