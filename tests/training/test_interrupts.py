"""The first signal asks, the second kills."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from vqe_jax.training.interrupts import Interrupts

TWICE = """
import os, signal
from vqe_jax.training.interrupts import Interrupts
with Interrupts() as asked:
    os.kill(os.getpid(), signal.SIGTERM)
    assert asked.flagged and asked.asked(0)
    print("asked", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("still here", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_asks_and_the_old_handler_comes_back(number):
    before = signal.getsignal(number)
    with Interrupts() as run:
        assert not run.flagged
        os.kill(os.getpid(), number)
        assert run.asked(3) and run.exit_code == 128 + number
    assert signal.getsignal(number) is before


def test_the_second_signal_ends_the_process_at_once():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TWICE)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (128 + signal.SIGINT, "asked\n")
