"""Nothing good is ever deleted: checkpoints that cannot be read, and saves that fail."""

import errno
import json
import os
import shutil

import pytest

from tests.faults import fuzz_checkpoints
from tests.faults.fuzz_checkpoints import disk_fills, fill, progress, state, whole_step
from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.training import checkpoints as module
from vqe_jax.training.checkpoints import Checkpoints


def tree(folder):
    """Every file, its content and when it was changed."""
    return {
        str(p.relative_to(folder)): (p.read_bytes() if p.is_file() else None, p.lstat().st_mtime_ns)
        for p in folder.rglob("*")
    }


@pytest.fixture
def two(tmp_path):
    fill(tmp_path / "c", 10, 20)
    return tmp_path / "c"


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    "harm",
    [
        lambda c: empty(c / "20"),
        lambda c: empty(c / "20" / "default"),
        lambda c: shutil.rmtree(c / "20"),
        lambda c: shutil.rmtree(c / "20" / "default" / "d"),
        lambda c: (c / "20.manifest.json").write_text("{" * 50_000),
        lambda c: (c / "20.manifest.json").write_bytes((c / "10.manifest.json").read_bytes()),
        lambda c: [(c / "20").rename(c / "x"), (c / "20").symlink_to(c / "nowhere")],
        lambda c: [(c / "20").rename(c / "x"), (c / "20").write_text("a file")],
    ],
)
def test_an_unreadable_step_is_set_aside_and_the_one_before_taken(two, harm):
    harm(two)
    before = {p.read_bytes() for p in two.rglob("*") if p.is_file()}
    assert whole_step(two) == 10
    assert before <= {p.read_bytes() for p in two.rglob("*") if p.is_file()}
    names = {p.name for p in two.iterdir()}
    assert "20.manifest.json" not in names and any(n.startswith("20.damaged") for n in names)
    fill(two, 20, keep=3)
    assert whole_step(two) == 20


def test_where_none_can_be_read_nothing_changes_and_that_is_said(two):
    for step in (10, 20):
        path = two / f"{step}.manifest.json"
        path.write_text(path.read_text()[:-3])
    before = tree(two)
    with pytest.raises(UserError, match=r"holds 2 checkpoints and none can be read \(10: .*20: "):
        Checkpoints(two).newest()
    assert tree(two) == before


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("step", 90), ("stage", 1), ("data", '{"next_index": 77}'), ("data", "{}"),
        ("best_score", 99.0), ("best_step", 3), ("validated", 0), ("hosts", 2), ("config", {}),
        ("another", 1),
    ],
)  # fmt: skip
def test_no_digit_of_the_progress_can_change_unseen(two, path, value):
    file = two / "20.manifest.json"
    manifest = json.loads(file.read_text())
    manifest["progress"][path] = value
    file.write_text(json.dumps(manifest))
    assert whole_step(two) == 10


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, None])
@pytest.mark.parametrize("times", [1, 3, 99])
def test_a_read_that_fails_for_a_while_costs_nothing(two, monkeypatch, number, times):
    failures = []
    real = module.check_files

    def unsteady(folder, files):
        if folder.name == "20" and len(failures) < times:
            failures.append(1)
            raise OSError(number, "lost") if number else OSError("lost")
        return real(folder, files)

    monkeypatch.setattr(module, "check_files", unsteady)
    monkeypatch.setattr(module, "_PATIENCE", (0, 0, 0))
    before = {p.read_bytes() for p in two.rglob("*") if p.is_file()}
    assert whole_step(two) == (10 if times == 99 else 20)
    assert before <= {p.read_bytes() for p in two.rglob("*") if p.is_file()}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_machine_at_its_limits_says_nothing_about_checkpoints(two, monkeypatch, number):
    def limited(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "check_files", limited)
    before = tree(two)
    with pytest.raises(EnvironmentFailure, match=r"20\.manifest\.json: (too many|out of)"):
        Checkpoints(two).newest()
    assert tree(two) == before


def test_whatever_call_of_a_save_fails_the_step_before_is_kept(tmp_path):
    """With keep=1, where the step before is all there is."""
    with disk_fills(tmp_path, -1) as calls:
        fill(tmp_path / "all", 10, 20, keep=1)
    assert 10 < len(calls) < 200
    for call in range(0, len(calls), 3):
        folder = tmp_path / str(call)
        fill(folder, 10, keep=1)
        with disk_fills(folder, call), pytest.raises(EnvironmentFailure, match="no space") as said:
            fill(folder, 20, keep=1)
            raise EnvironmentFailure("no space was needed")  # beyond the save's last call
        assert "\n" not in str(said.value)
        assert whole_step(folder) in ((20,) if "needed" in str(said.value) else (10, 20))


def test_a_failed_save_is_not_signed_by_closing(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(state(10), progress(10))
    checkpoints.sign()
    with disk_fills(tmp_path, 2):
        checkpoints.save(state(20), progress(20))
        with pytest.raises(EnvironmentFailure, match=r"checkpoint 20 cannot be saved .*kept: 10"):
            checkpoints.sign()
    checkpoints.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["10", "10.manifest.json"]


def test_what_is_not_ours_is_left_alone(two, tmp_path):
    (two / "backup").mkdir()
    (two / "backup" / "20").mkdir()
    (two / "2024").mkdir()
    (two / "2024" / "notes").write_text("x")
    (two / "notes.manifest.json").write_text("{}")
    (two / "latest").symlink_to("20")
    (two / "30").symlink_to(tmp_path)
    fill(two, 30, 40, keep=1)
    names = {p.name for p in two.iterdir()}
    assert {"backup", "2024", "notes.manifest.json", "latest", "30.damaged", "40"} <= names
    assert (two / "2024" / "notes").read_text() == "x" and whole_step(two) == 40


def test_a_step_that_lies_elsewhere_behind_a_link_is_read_and_not_removed(two, tmp_path):
    (two / "20").rename(tmp_path / "disk2")
    (two / "20").symlink_to(tmp_path / "disk2")
    assert whole_step(two) == 20
    fill(two, 30, 40, keep=1)
    assert (tmp_path / "disk2" / "default").is_dir() and whole_step(two) == 40


def test_a_kill_between_manifest_and_rename_loses_nothing(two):
    (two / "20").rename(two / "20.orbax-checkpoint-tmp")
    assert whole_step(two) == 20 and (two / "20" / "default").is_dir()


def test_a_short_sweep():
    counts = fuzz_checkpoints.run(12, seed=1)
    assert counts.failed == 0, counts.examples
    assert counts.tried == 12 and counts.passed > 3 and counts.refused > 1
