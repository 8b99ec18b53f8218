"""Jobs and their keys."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from vqe_jax.data.jobs import ClipJob, VideoOrigin
from vqe_jax.data.recipes import Recipe
from vqe_jax.data.variants import Variant
from vqe_jax.errors import UserError


def _job(path: Path) -> ClipJob:
    return ClipJob("park", "train", 37, VideoOrigin(str(path)), Recipe("low_delay_p", 37))


def test_key_follows_what_matters(videos: Path, tmp_path: Path) -> None:
    job = _job(videos / "park.mkv")
    same = dataclasses.replace(job, split="val")
    others = [
        dataclasses.replace(job, recipe=Recipe("low_delay_p", 32)),
        dataclasses.replace(job, seed=0),
        dataclasses.replace(job, seed=1),
        dataclasses.replace(job, origin=VideoOrigin(str(videos / "park.mkv"), frames=5)),
        _job(videos / "street.mkv"),
    ]
    assert same.key == job.key
    assert len({job.key, *(o.key for o in others)}) == 6


def test_moved_sources_are_known_and_changed_ones_are_not(videos: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copy2(videos / "park.mkv", tmp_path / "park.mkv"))
    assert _job(moved).key == _job(videos / "park.mkv").key
    moved.write_bytes(moved.read_bytes() + b"x")
    assert _job(moved).key != _job(videos / "park.mkv").key


def test_frames_and_rate(videos: Path) -> None:
    origin = VideoOrigin(str(videos / "park.mkv"), 6, "30000/1001")
    info, frames = origin.open()
    assert origin.length() == 6
    assert len(list(frames)) == len(list(frames)) == 6
    assert str(info.frame_rate) == "30000/1001"


def test_unvaried_jobs_leave_the_clip_alone(videos: Path) -> None:
    job = _job(videos / "park.mkv")
    info, _ = job.origin.open()
    assert job.variant(info) == Variant()
    drawn = dataclasses.replace(job, seed=1)
    assert drawn.variant(info) == drawn.variant(info) != Variant()


def test_contradictions_are_refused(videos: Path) -> None:
    origin = VideoOrigin(str(videos / "park.mkv"))
    with pytest.raises(UserError, match="either a recipe or a compressed clip"):
        ClipJob("a", "train", 37, origin)
    with pytest.raises(UserError, match="not of given streams"):
        ClipJob("a", "train", 37, origin, compressed="x.hevc", seed=0)
    with pytest.raises(UserError, match=r"does not exist.*low_delay_p"):
        Recipe("random_access", 37).check()
    with pytest.raises(UserError, match=r"gone\.mkv"):
        _ = _job(Path("gone.mkv")).key
