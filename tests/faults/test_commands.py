"""What a command does when it is asked to end, and what it says when it is to be quiet."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Says that it is ready, waits, and tidies up, slowly.
WORK = """
import time
from vqe_jax.errors import run_cli
def main():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("closing", flush=True)
        time.sleep({closing})
        print("closed", flush=True)
run_cli(main)
"""


def ended(signals, closing=0.0, ignored=()):
    """Exit code and output of a command that gets each of the signals once it has begun anew."""

    def begin():
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    with subprocess.Popen(
        [sys.executable, "-c", WORK.format(closing=closing)],
        stdout=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=begin,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        said = process.stdout.readline()
        for number in signals:
            process.send_signal(number)
            if number not in ignored:
                said += process.stdout.readline()
        said += process.stdout.read()
    return process.returncode, said.split()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_ends_a_command_through_its_cleaning_up(number, code):
    assert ended([number]) == (code, ["ready", "closing", "closed"])


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(second):
    code, said = ended([signal.SIGHUP, second], closing=60)
    assert code == -second and said == ["ready", "closing"]


def test_what_the_shell_ignores_stays_ignored():
    """nohup: the command outlives its terminal."""
    assert ended([signal.SIGHUP, signal.SIGTERM], ignored=[signal.SIGHUP])[0] == 143
