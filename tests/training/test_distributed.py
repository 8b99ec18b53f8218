"""Two processes that share a batch, on one machine, over gloo."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.test_loop import SCRIPT, tensors, train

pytestmark = pytest.mark.slow

STAGES = ({"name": "main", "steps": 12, "learning_rate": 1e-2, "ema": 0.9},)

# What the command line does with --distributed, then the run; "N" makes batch N signal process 1.
BEFORE = """
import sys, jax
process, port = int(sys.argv[4]), sys.argv[5]
jax.distributed.initialize(f"localhost:{port}", 2, process)
if process == 0:
    sys.argv[1] = "-1"
"""


def script() -> str:
    changed = SCRIPT.replace('jax.config.update("jax_num_cpu_devices", 8)', "")
    changed = changed.replace("test_loop import TWO_STAGES", "test_distributed import STAGES")
    changed = changed.replace(
        "synthetic.config(*TWO_STAGES)", "synthetic.config(*STAGES, devices=2)"
    )
    return BEFORE + changed


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def two_processes(workdir: Path, fatal: int = -1, number: int = signal.SIGTERM):
    root, port = Path(__file__).parents[2], free_port()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script(), str(fatal), str(workdir), str(int(number)),
             str(process), str(port)],
            cwd=root, env=os.environ | {"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for process in range(2)
    ]  # fmt: skip
    texts = [process.communicate(timeout=240) for process in running]
    return [p.returncode for p in running], texts


def test_two_processes_do_what_one_does(tiny, tmp_path):
    codes, texts = two_processes(tmp_path / "two")
    assert codes == [0, 0], texts
    assert "main" in texts[0][0] and "main" not in texts[1][0]  # one speaks for the run
    train(tmp_path / "one", *STAGES)
    one, two = (tensors(tmp_path / d / "last.safetensors") for d in ("one", "two"))
    for key in one:
        np.testing.assert_allclose(one[key], two[key], rtol=2e-3, atol=1e-5, err_msg=key)


def test_a_signal_to_one_stops_both_at_one_step(tmp_path):
    codes, texts = two_processes(tmp_path, fatal=5)
    assert codes == [128 + signal.SIGTERM] * 2, texts
    (manifest,) = sorted((tmp_path / "checkpoints").glob("*.manifest.json"),
                         key=lambda p: int(p.name.split(".")[0]))[-1:]  # fmt: skip
    step = json.loads(manifest.read_text())["progress"]["step"]
    assert 5 <= step < 12 and f"stopped at step {step}" in texts[0][0]
    codes, texts = two_processes(tmp_path)
    assert codes == [0, 0] and f"at step {step}" in texts[0][0], texts
