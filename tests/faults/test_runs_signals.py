"""Signals to the command that trains, in a process of its own: what is said, kept and left."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training.conftest import tiny  # noqa: F401
from tests.training.test_loop import train
from vqe_jax.training.checkpoints import Checkpoints

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """
from tests.training.synthetic import config
def get_config():
    stage = {"name": "main", "steps": 100_000, "learning_rate": 1e-2}
    return config(stage, eval=None, checkpoint={"every": 3, "keep": 1})
"""
# The command itself, for a data set made of numbers. From the first signal on no save comes to its
# end where asked for: it writes half of itself, says so, and waits for ever.
COMMAND = """
import sys, threading
from tests.training import synthetic
from vqe_jax.errors import run_cli
from vqe_jax.training import checkpoints, cli, stage_run

synthetic.install()

def torn(self):
    self.folder.mkdir(parents=True)
    (self.folder / "default").write_text("half")
    print("half written", flush=True)
    threading.Event().wait()

def stop_slowly(self):
    self.session.checkpoints.sign()
    checkpoints._Saving._write = torn
    self.session.checkpoints.save(self.state, self.progress)
    self.session.checkpoints.sign()

if "slow" in sys.argv:
    stage_run.StageRun._stop = stop_slowly
    sys.argv.remove("slow")
run_cli(cli.main)
"""
# Compiling, in which Python runs no handler: the code of another language waits, with no lock held.
COMPILING = """
import ctypes
from vqe_jax.training.interrupts import Interrupts
with Interrupts(lambda line: print(line, flush=True)):
    print("compiling", flush=True)
    # A mutex that is locked already: unlike a semaphore, waiting for it does not end at a signal.
    mutex = ctypes.create_string_buffer(64)
    for _ in range(2):
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
"""


@contextlib.contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen]:
    """A process of Python; killed in the end, if it is still there."""
    with subprocess.Popen(
        [sys.executable, "-c", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def read_to(process: subprocess.Popen, words: str) -> list[str]:
    """The lines up to one that has some words."""
    lines: list[str] = []
    while not lines or words not in lines[-1]:
        line = process.stdout.readline()
        assert line, lines
        lines.append(line)
    return lines


def command(tmp_path: Path, *more: str) -> list[object]:
    recipe = tmp_path / "recipe.py"
    recipe.write_text(RECIPE)
    return [COMMAND, "--config", recipe, "--workdir", tmp_path / "run", *more]


def newest(workdir: Path) -> int:
    found = Checkpoints(workdir / "checkpoints").newest()
    assert found is not None
    return found[0].step


def test_the_first_signal_saves_and_ends_and_the_next_run_goes_on(tmp_path):
    number = signal.SIGHUP
    with running(*command(tmp_path)) as process:
        read_to(process, " 4/100000")
        process.send_signal(number)
        said = read_to(process, "stopped at step")
        assert process.wait() == 128 + number
    step = newest(tmp_path / "run")
    assert f"stopped at step {step}; run it again to go on\n" in said
    assert any(f"{number.name}: the run saves and stops" in line for line in said)
    with running(*command(tmp_path)) as process:
        read_to(process, f"resuming {tmp_path / 'run'} at step {step}")
        read_to(process, f" {step + 2}/100000")
        process.send_signal(signal.SIGINT)
        read_to(process, "stopped at step")
        assert process.wait() == 128 + signal.SIGINT
    assert newest(tmp_path / "run") >= step + 2


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGTERM, signal.SIGINT), (signal.SIGHUP, signal.SIGTERM)],
)
def test_the_second_signal_ends_at_once_and_an_earlier_step_is_whole(tmp_path, first, second):
    """The save that the first one began is torn; there is one step more, as `keep` says."""
    with running(*command(tmp_path, "slow")) as process:
        read_to(process, " 8/100000")  # what was saved at 3 is whole before 6 is begun
        process.send_signal(first)
        read_to(process, "half written")
        process.send_signal(second)
        assert process.wait() == 128 + second
    checkpoints = tmp_path / "run" / "checkpoints"
    assert len(list(checkpoints.glob("*.orbax-checkpoint-tmp"))) == 1
    step = newest(tmp_path / "run")
    assert step >= 6 and step % 3 == 0
    stage = {"name": "main", "steps": step + 4, "learning_rate": 1e-2}
    outcome, said = train(tmp_path / "run", stage, eval=None, checkpoint={"every": 3, "keep": 1})
    assert outcome.finished and f"at step {step}\n" in said
    assert not list(checkpoints.glob("*.orbax-checkpoint-tmp"))


def test_signals_are_answered_while_a_program_is_compiled():
    with running(COMPILING) as process:
        read_to(process, "compiling")
        process.send_signal(signal.SIGTERM)
        read_to(process, "SIGTERM: the run saves and stops")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 128 + signal.SIGINT


def test_what_nohup_ignores_goes_on(tmp_path):
    """The run outlives its terminal."""
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{COMMAND}"
    with running(ignoring, *command(tmp_path)[1:]) as process:
        read_to(process, " 2/100000")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        said = read_to(process, "stopped at step")
        assert process.wait() == 128 + signal.SIGTERM
    assert not any("SIGHUP" in line for line in said)
