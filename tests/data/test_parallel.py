"""Work in other processes."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from vqe_jax.data.parallel import map_clips
from vqe_jax.errors import EnvironmentFailure, UserError


def work(job: SimpleNamespace, folder: Path) -> tuple[str, int]:
    if job.name.startswith("bad"):
        raise UserError(f"{job.name} is unreadable")
    if job.name == "dies":
        os._exit(1)
    (folder / job.name).touch()
    return job.name, os.getpid()


def _jobs(*names: str) -> list[SimpleNamespace]:
    return [SimpleNamespace(name=name) for name in names]


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_are_told_and_do_not_stop_the_others(workers: int, tmp_path: Path) -> None:
    jobs = [(job, tmp_path) for job in _jobs("bad1", "a", "bad2", "b", "bad3", "bad4")]
    with pytest.raises(UserError) as caught:
        map_clips(work, jobs, label="x", workers=workers, quiet=True)
    message = str(caught.value)
    assert message.startswith("4 of 6 clips failed: bad")
    assert "and 1 more" in message
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_results_keep_their_order_and_come_from_other_processes(tmp_path: Path) -> None:
    names = [f"clip{i}" for i in range(5)]
    done = map_clips(
        work, [(job, tmp_path) for job in _jobs(*names)], label="x", workers=2, quiet=True
    )
    assert [name for name, _ in done] == names
    assert os.getpid() not in {pid for _, pid in done}


def test_a_dying_worker_is_no_traceback(tmp_path: Path) -> None:
    jobs = [(job, tmp_path) for job in _jobs("a", "dies")]
    with pytest.raises(EnvironmentFailure, match="worker process died"):
        map_clips(work, jobs, label="x", workers=2, quiet=True)


def test_encoding_needs_no_jax() -> None:
    rooms = "vqe_jax.data.encode_clips, vqe_jax.data.parallel, vqe_jax.data.sources.demo"
    code = f"import sys, {rooms}; print({{'jax', 'grain', 'tensorflow'}} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
