"""Long clips enhanced by sweeps, against whole ones."""

import os
import subprocess
import sys


def test_sweeps_equal_the_whole_clip_to_the_last_bit():
    plain = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    command = [sys.executable, "-m", "tests.models.sweeps_to_the_bit"]
    done = subprocess.run(command, env=plain, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
