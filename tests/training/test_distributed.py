"""Two processes that share a batch, on one machine, over gloo."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.test_runs_signals import COMMAND
from tests.training.test_loop import ENVIRONMENT, ROOT, WORKER, tensors, train
from vqe_jax.training.checkpoints import Checkpoints

pytestmark = pytest.mark.slow

STAGES = ({"name": "main", "steps": 12, "learning_rate": 1e-2, "ema": 0.9},)
LONG = ({**STAGES[0], "steps": 600},)  # time to agree on a step


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def two_processes(workdir: Path, stages: str = "STAGES", fatal: int = -1):
    command = [*WORKER, str(workdir), "--stages", f"{__name__}:{stages}"]
    command += ["--port", str(free_port())]
    command += ["--fatal", str(fatal), "--signal", str(int(signal.SIGTERM))]
    running = [
        subprocess.Popen(
            [*command, "--process", str(process)],
            cwd=ROOT,
            env=ENVIRONMENT | {"JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]
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
    codes, texts = two_processes(tmp_path, "LONG", fatal=5)
    assert codes == [128 + signal.SIGTERM] * 2, texts
    (manifest,) = sorted(
        (tmp_path / "checkpoints").glob("*.manifest.json"), key=lambda p: int(p.name.split(".")[0])
    )[-1:]
    step = json.loads(manifest.read_text())["progress"]["step"]
    assert 5 <= step < 600 and f"stopped at step {step}" in texts[0][0]
    codes, texts = two_processes(tmp_path, "LONG")
    assert codes == [0, 0] and f"at step {step}" in texts[0][0], texts


CONFIG = """
def get_config():
    from tests.training import synthetic
    synthetic.install()
    stage = {"name": "main", "steps": 100000, "learning_rate": 1e-3}
    checkpoint = {"every": 20, "keep": 2}
    return synthetic.config(stage, devices=2, checkpoint=checkpoint, eval=None)
"""


@pytest.mark.parametrize("killed", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_is_killed_or_hangs_is_named_by_the_other(tmp_path, killed, number):
    running = started(tmp_path, ["train.py"])
    try:
        await_save(tmp_path, running)
        running[killed].send_signal(number)
        said = running[1 - killed].communicate(timeout=60)[1]
    finally:
        end(running)
    assert running[1 - killed].returncode == 1, said
    named = rf"error: process {killed} of 2 on \S+ (is gone|has given no sign)"
    assert re.search(named, said), said


@pytest.mark.parametrize("signaled", [0, 1])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_to_one_ends_it_at_once_and_the_other_names_it(tmp_path, signaled, second):
    """Both stop at the first one, and their save never ends; what was saved before is whole."""
    running = started(tmp_path, ["-c", COMMAND, "slow"])
    try:
        await_save(tmp_path, running)
        running[signaled].send_signal(signal.SIGTERM)
        while not any(path.is_file() for path in tmp_path.glob("run/checkpoints/*/default")):
            assert [p.poll() for p in running] == [None, None]
            time.sleep(0.2)
        running[signaled].send_signal(second)
        begin = time.monotonic()
        assert running[signaled].wait(timeout=60) == 128 + second
        assert time.monotonic() - begin < 5
        said = running[1 - signaled].communicate(timeout=60)[1]
    finally:
        end(running)
    assert running[1 - signaled].returncode == 1, said
    assert re.search(rf"error: process {signaled} of 2 on \S+ is gone", said), said
    found = Checkpoints(tmp_path / "run" / "checkpoints").newest()
    assert found is not None and found[0].step % 20 == 0


def started(folder: Path, program: list[str]) -> list[subprocess.Popen[str]]:
    """Both processes of a run that takes long."""
    (folder / "run.py").write_text(CONFIG)
    flags = f"--distributed --coordinator localhost:{free_port()} --processes 2 --peer-timeout 10"
    command = [sys.executable, *program, "--config", folder / "run.py", "--quiet"]
    command += ["--workdir", folder / "run", "--start-timeout", "120", *flags.split()]
    return [
        subprocess.Popen(
            [*command, "--process", str(process)],
            cwd=ROOT,
            env=ENVIRONMENT | {"JAX_PLATFORMS": "cpu"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for process in range(2)
    ]


def await_save(folder: Path, running: list[subprocess.Popen[str]]) -> None:
    """Until the first checkpoint is whole."""
    late = time.monotonic() + 240
    while not list(folder.glob("run/checkpoints/*.manifest.json")):
        assert time.monotonic() < late and [p.poll() for p in running] == [None, None]
        time.sleep(0.2)


def end(running: list[subprocess.Popen[str]]) -> None:
    """Whatever happened."""
    for process in running:
        process.kill()
        process.communicate()
