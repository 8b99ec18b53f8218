"""Runs that are refused, interrupted, left alone or out of space."""

import contextlib
import errno
import io
import os
import signal
import threading

import pytest

from tests.faults.fuzz_checkpoints import disk_fills
from tests.faults.test_runs_checkpoints import tree
from tests.training.conftest import tiny  # noqa: F401
from tests.training.synthetic import config
from tests.training.test_loop import log, train
from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.evaluation.models import run_config
from vqe_jax.training import cli, loop, validation
from vqe_jax.weights import load_model

STAGE = {"name": "main", "steps": 4, "learning_rate": 1e-2}

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def workdir(tmp_path):
    train(tmp_path / "run", STAGE)
    return tmp_path / "run"


@pytest.mark.parametrize(
    "keys",
    [
        {"model_kwargs": {"features": 5}},
        {"model": "nothing"},
        {"data": {"frames": 3, "crop": 16, "batch": 2, "corp": 3}},
        {"eval": {"clips": ("nobody",)}},
        {"checkpoint": {"every": 2, "keep": 0}},
    ],
)
def test_a_refused_start_changes_no_file(workdir, keys):
    before = tree(workdir)
    with pytest.raises(UserError):
        train(workdir, STAGE | {"steps": 9}, **keys)
    assert tree(workdir) == before


def test_a_start_refused_in_a_new_folder_leaves_none(tmp_path):
    with pytest.raises(UserError, match=r"not been trained|neither a file"):
        train(tmp_path / "new" / "run", STAGE | {"start": str(tmp_path / "no.safetensors")})
    assert not (tmp_path / "new" / "run").exists()


def test_two_runs_in_one_folder_exclude_each_other(tmp_path, monkeypatch):
    said = []
    real = validation.validate

    def second(*args, **kwargs):
        before = tree(tmp_path)
        with pytest.raises(UserError, match="is in use by another run; wait for it") as caught:
            loop.run(config(STAGE), tmp_path, output=io.StringIO())
        said.append(str(caught.value))
        assert tree(tmp_path) == before
        return real(*args, **kwargs)

    monkeypatch.setattr(validation, "validate", second)
    outcome, _ = train(tmp_path, STAGE, eval={"every": 0})
    assert outcome.finished and len(said) == 1


def test_saving_comes_before_validating_and_validation_can_be_interrupted(tmp_path, monkeypatch):
    unbroken = tmp_path / "unbroken"
    train(unbroken, STAGE, eval={"every": 2})
    real = validation.validate

    def killed(*args, **kwargs):
        raise SystemExit(9)

    monkeypatch.setattr(validation, "validate", killed)
    with pytest.raises(SystemExit):
        train(tmp_path / "run", STAGE, eval={"every": 2})
    assert (tmp_path / "run" / "checkpoints" / "2.manifest.json").is_file()

    def signaled(*args, **kwargs):
        signal.raise_signal(signal.SIGHUP)
        return real(*args, **kwargs)

    monkeypatch.setattr(validation, "validate", signaled)
    outcome, said = train(tmp_path / "run", STAGE, eval={"every": 2})
    assert outcome.exit_code == 128 + signal.SIGHUP and outcome.step == 2
    assert "stopped at step 2" in said
    # The validation that was due then is made up for, and the run is what it would have been.
    monkeypatch.setattr(validation, "validate", real)
    train(tmp_path / "run", STAGE, eval={"every": 2})
    for kind in ("train", "validation"):
        assert log(tmp_path / "run", kind) == log(unbroken, kind)
    assert load_model(tmp_path / "run").extra == load_model(unbroken).extra


@pytest.mark.parametrize(
    ("call", "number"),
    [(0, errno.EACCES), (3, errno.ENOSPC), (9, errno.EDQUOT), (16, errno.EROFS), (30, errno.EIO)],
)
def test_a_disk_that_refuses_is_one_line_and_the_run_goes_on_later(tmp_path, call, number):
    keys = {"checkpoint": {"every": 1, "keep": 1}, "eval": None}
    with disk_fills(tmp_path, call, number), pytest.raises(EnvironmentFailure) as caught:
        train(tmp_path / "w", STAGE, **keys)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    assert train(tmp_path / "w", STAGE, **keys)[0].finished


@pytest.mark.parametrize("made", ["file", "inside a file", "loop", "long"])
def test_a_work_directory_that_cannot_be_one(tmp_path, made):
    path = tmp_path / "w"
    if made == "loop":
        path.symlink_to(path)
    elif made == "long":
        path = tmp_path / ("w" * 300)
    else:
        path.write_text("x")
        path = path / "deeper" if made == "inside a file" else path
    with pytest.raises(EnvironmentFailure) as caught:
        train(path, STAGE)
    assert "\n" not in str(caught.value) and "w" in str(caught.value)


class _Closed(io.StringIO):
    """A pipe whose reader is gone after a few lines."""

    def write(self, text: str) -> int:
        if self.tell() > 100:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        return super().write(text)


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000, b"", b'{"a": 1}']
)
def test_a_damaged_config_of_a_run_is_one_line(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text)
    with pytest.raises(UserError) as caught:
        cli.main(["--workdir", str(tmp_path)])
    assert "\n" not in str(caught.value)
    if text != b'{"a": 1}':
        with pytest.raises(UserError, match=r"config\.json"):
            run_config(str(tmp_path))


def test_a_line_that_cannot_be_printed_ends_no_run(tmp_path):
    for output in (_Closed(), open("/dev/full", "w"), open(os.devnull)):  # noqa: SIM115
        outcome = loop.run(config(STAGE), tmp_path / str(id(output)), output=output)
        assert outcome.finished
        with contextlib.suppress(OSError):
            output.close()


def test_the_beginning_and_the_end_are_said(tmp_path):
    _, said = train(tmp_path, STAGE | {"steps": 6}, log_every=100, eval=None)
    lines = said.splitlines()
    assert lines[0].startswith("training 'tiny' for 6 steps (main 6) on 1 cpu device")
    assert lines[1].split()[:4] == ["1/6", "main", "loss", lines[1].split()[3]]
    assert "s a step:" in lines[2] and "for the 4 steps left" in lines[2]
    assert "programs compiled" in lines[-1]
    assert lines[-2].endswith(f"enhance.py IN OUT --model {tmp_path / 'last.safetensors'}")
    # What is printed early is not recorded, so that a resumed run has the same log.
    assert [r["step"] for r in log(tmp_path, "train")] == [6]


def test_quiet_is_quiet(tmp_path):
    output = io.StringIO()
    assert loop.run(config(STAGE), tmp_path, quiet=True, output=output).finished
    assert output.getvalue() == "" and len(log(tmp_path, "train")) == 4


def test_nothing_is_left_of_killed_writes(workdir):
    for name in ("best.safetensors", "config.json", "metrics.jsonl"):
        (workdir / f"{name}.99-0123abcd.part").write_text("cut")
    (workdir / "mine.part").write_text("kept")
    train(workdir, STAGE | {"steps": 5})
    assert [p.name for p in workdir.rglob("*.part")] == ["mine.part"]


def test_threads_that_train_need_no_signals(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(train(tmp_path, STAGE)[0]))
    thread.start()
    thread.join()
    assert found[0].finished
