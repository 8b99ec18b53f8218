"""What each data set makes of a folder."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import make_frames, write_video
from vqe_jax.data.demo_film import Scene
from vqe_jax.data.sources import SOURCES, find_source
from vqe_jax.data.sources.base import Plan
from vqe_jax.data.sources.folders import find_clips, find_stream
from vqe_jax.errors import UserError
from vqe_jax.sequences import SEQUENCES, find_sequence
from vqe_jax.video import Frame


def _plan(dataset: str, **options: object) -> tuple[Plan, ...]:
    source = find_source(dataset)
    return source.plan(source.Options(**options))


def _splits(plan: Plan) -> dict[str, set[str]]:
    splits: dict[str, set[str]] = {}
    for job in plan.jobs:
        splits.setdefault(job.split, set()).add(job.name)
    return splits


@pytest.fixture
def yuv(tmp_path: Path) -> Path:
    return write_video(tmp_path / "tiny_96x80_2.yuv", make_frames(2, 0))


def _link(target: Path, yuv: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(yuv)


def test_every_data_set_has_its_builder() -> None:
    from vqe_jax.data.tfds_builder import builder_class

    assert SOURCES.names() == ["clips", "demo", "jct_vc", "ldv", "ldv_v2", "mfqe_v2", "scenes"]
    for name in SOURCES.names():
        kind = builder_class(name)
        assert kind.name == find_source(name).name == name
        assert set(kind.builder_configs) == set(find_source(name).presets)


def test_clips_by_folder_and_by_chance(videos: Path, tmp_path: Path, yuv: Path) -> None:
    (plan,) = _plan("clips", source=str(videos))
    splits = _splits(plan)
    assert {s: len(n) for s, n in splits.items()} == {"train": 3, "val": 1}
    assert _splits(_plan("clips", source=str(videos), seed=0)[0]) == splits
    draws = {str(_splits(_plan("clips", source=str(videos), seed=s)[0])["val"]) for s in range(9)}
    assert len(draws) > 1
    for split in ("train", "val"):
        _link(tmp_path / "set" / split / f"{split}_96x80_2.yuv", yuv)
    (plan,) = _plan("clips", source=str(tmp_path / "set"))
    assert _splits(plan) == {"train": {"train_96x80_2"}, "val": {"val_96x80_2"}}
    options = {"source": str(videos / "trip"), "val_source": str(tmp_path / "set" / "val")}
    (plan,) = _plan("clips", **options)
    assert _splits(plan) == {"train": {"boat", "cat"}, "val": {"val_96x80_2"}}
    (plan,) = _plan("clips", **options, include=("c*",))
    assert _splits(plan) == {"train": {"cat"}, "val": {"val_96x80_2"}}


def test_a_name_in_two_splits_is_refused(videos: Path) -> None:
    with pytest.raises(UserError, match="name of clips in two splits"):
        _plan("clips", source=str(videos / "trip"), val_source=str(videos / "trip"))


def test_a_configuration_for_each_qp_and_variants_for_training(videos: Path) -> None:
    plans = _plan("clips", source=str(videos), qp=(22, 37), augment=2, qp_jitter=2)
    assert [p.config_name for p in plans] == ["qp22", "qp37"]
    for plan, qp in zip(plans, (22, 37), strict=True):
        assert {s: len(n) for s, n in _splits(plan).items()} == {"train": 9, "val": 1}
        jittered = {job.qp for job in plan.jobs if "+" in job.name}
        assert len(jittered) > 1 and all(abs(q - qp) <= 2 for q in jittered)
        assert all(job.recipe.value == job.qp for job in plan.jobs)
    assert _plan("clips", source=str(videos), recipe="two_pass")[0].config_name == "two_pass_200k"
    with pytest.raises(UserError, match="single --qp"):
        _plan("clips", source=str(videos), qp=(22, 37), name="both")


def test_folders(videos: Path, tmp_path: Path) -> None:
    assert list(find_clips(videos)) == ["park", "street", "trip_boat", "trip_cat"]
    assert list(find_clips(videos / "park.mkv")) == ["park"]
    frames = tmp_path / "holiday"
    frames.mkdir()
    (frames / "0.png").touch()
    assert find_clips(tmp_path) == {"holiday": frames}
    with pytest.raises(UserError, match="no such folder"):
        find_clips(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no videos"):
        find_clips(tmp_path / "empty")
    (tmp_path / "holiday.mkv").touch()
    with pytest.raises(UserError, match="the same name"):
        find_clips(tmp_path)
    for name in ("x264", "x265"):
        (tmp_path / "streams" / "clip").mkdir(parents=True, exist_ok=True)
        (tmp_path / "streams" / "clip" / f"{name}.hevc").touch()
    assert find_stream(tmp_path / "streams", "clip", "x265").name == "x265.hevc"
    with pytest.raises(UserError, match="several streams of clip"):
        find_stream(tmp_path / "streams", "clip")


def test_the_test_sequences() -> None:
    assert len(SEQUENCES) == 18
    # The count of frames over the 18 that RFDA's evaluation reports.
    assert sum(s.frames for s in SEQUENCES) == 7980
    assert [find_sequence(s.title).group for s in SEQUENCES] == list("AABBBBBCCCCDDDDEEE")
    assert find_sequence("Kimono1_1920x1080_24.yuv").name == "Kimono"
    assert find_sequence("PeopleOnStreet_2560x1600_30_crop.yuv").group == "A"
    assert find_sequence("RaceHorsesC_832x480_30").group == "C"
    assert find_sequence("RaceHorses_416x240_30").group == "D"


def test_jct_vc(tmp_path: Path, yuv: Path) -> None:
    for sequence in SEQUENCES:
        _link(tmp_path / "yuv" / sequence.group / f"{sequence.title}.yuv", yuv)
    (plan,) = _plan("jct_vc", source=str(tmp_path / "yuv"))
    assert plan.config_name == "x265_qp37"
    assert [job.name for job in plan.jobs] == [s.title for s in SEQUENCES]
    assert {job.origin.frame_rate for job in plan.jobs} == {"24", "30", "50", "60"}
    (tmp_path / "yuv" / "E" / "Johnny_1280x720_600.yuv").unlink()
    with pytest.raises(UserError, match=r"lacks 1 of 18 sequences \(Johnny.*MFQE"):
        _plan("jct_vc", source=str(tmp_path / "yuv"))
    (plan,) = _plan("jct_vc", source=str(tmp_path / "yuv"), partial=True)
    assert len(plan.jobs) == 17
    streams = tmp_path / "hm" / "QP37"
    for job in plan.jobs:
        _link(streams / f"{job.name}.bin", yuv)
    (given,) = _plan(
        "jct_vc",
        source=str(tmp_path / "yuv"),
        compressed_source=str(tmp_path / "hm"),
        partial=True,
    )
    assert given.config_name == "qp37"
    assert all(job.compressed for job in given.jobs)


def test_mfqe_v2(tmp_path: Path, yuv: Path) -> None:
    root = tmp_path / "MFQEv2"
    names = [f"clip{i:03d}_96x80_2" for i in range(108)]
    for name in names:
        _link(root / "train_108" / "raw" / f"{name}.yuv", yuv)
        _link(root / "train_108" / "HM16.5_LDP" / "QP37" / f"{name}.yuv", yuv)
    with pytest.raises(UserError, match=r"test_18/raw: no such folder.*wiki/MFQEv2-Dataset"):
        _plan("mfqe_v2", source=str(root))
    for sequence in SEQUENCES:
        _link(root / "test_18" / "raw" / f"{sequence.title}.yuv", yuv)
        _link(root / "test_18" / "HM16.5_LDP" / "QP37" / f"{sequence.title}.bin", yuv)
    (plan,) = _plan("mfqe_v2", source=str(root))
    assert {s: len(n) for s, n in _splits(plan).items()} == {"train": 108, "test": 18}
    assert {job.origin.frames for job in plan.jobs if job.split == "train"} == {300}
    assert {job.origin.frames for job in plan.jobs if job.split == "test"} == {None}
    (plan,) = _plan("mfqe_v2", source=str(root), frames=9)
    assert {job.origin.frames for job in plan.jobs} == {9}
    (plan,) = _plan("mfqe_v2", source=str(root), val_clips=2)
    assert plan.config_name == "qp37_val2"
    assert {s: len(n) for s, n in _splits(plan).items()} == {"train": 106, "val": 2, "test": 18}
    with pytest.raises(UserError, match=r"126 streams are missing.*QP22.*--encode"):
        _plan("mfqe_v2", source=str(root), qp=(22,))
    plans = _plan("mfqe_v2", source=str(root), qp=(22, 27), encode=True)
    assert [p.config_name for p in plans] == ["x265_qp22", "x265_qp27"]
    (root / "train_108" / "raw" / f"{names[0]}.yuv").unlink()
    with pytest.raises(UserError, match="107 sequences; expected 108"):
        _plan("mfqe_v2", source=str(root))
    with pytest.raises(UserError, match="wiki/MFQEv2-Dataset"):
        _plan("mfqe_v2")


def test_ldv(tmp_path: Path, yuv: Path) -> None:
    sets = {"training": 200, "validation": 20, "test": 10}
    for kind, count in sets.items():
        folders = {
            "training": ("training_raw", "training_fixed-QP", "training_fixed-rate"),
            "validation": ("validation_raw", "validation_fixed-QP", "validation_fixed-rate"),
            "test": (
                "test_raw_1",
                "test_fixed-QP_release",
                "test_raw_2",
                "test_fixed-rate_release",
            ),
        }[kind]
        for folder in folders:
            for number in range(1, count + 1):
                _link(tmp_path / folder / f"{number:03d}.mkv", yuv)
    first, third = _plan("ldv", source=str(tmp_path), track=(1, 3))
    assert {s: len(n) for s, n in _splits(first).items()} == {"train": 200, "val": 20, "test": 10}
    assert {Path(j.compressed).parent.name for j in third.jobs} == {
        "training_fixed-rate",
        "validation_fixed-rate",
        "test_fixed-rate_release",
    }
    assert {j.qp for j in first.jobs} == {37} and {j.qp for j in third.jobs} == {None}
    (astf,) = _plan("ldv", source=str(tmp_path), split_190_10=True)
    splits = _splits(astf)
    assert astf.config_name == "track1_190_10"
    assert len(splits["train"]) == 190 and len(splits["official_val"]) == 20
    assert splits["val"] == {f"train_{n:03d}" for n in range(1, 182, 20)}
    (tmp_path / "training_raw" / "007.mkv").unlink()
    with pytest.raises(UserError, match=r"199 videos; expected 200.*NTIRE21_VEnh"):
        _plan("ldv", source=str(tmp_path))
    with pytest.raises(UserError, match="track 4 is not one of"):
        _plan("ldv", source=str(tmp_path), track=(4,))


def test_ldv_v2(tmp_path: Path, yuv: Path) -> None:
    for raw, compressed, count in (
        ("train_gt", "train_QP37", 240),
        ("track1_val_gt", "validation_track1", 15),
        ("track1_test_gt", "test_track1", 15),
    ):
        for number in range(1, count + 1):
            _link(tmp_path / raw / f"{number:03d}.mkv", yuv)
            # An archive may put its files one folder deeper.
            _link(tmp_path / compressed / compressed / f"{number:03d}.mkv", yuv)
    (plan,) = _plan("ldv_v2", source=str(tmp_path))
    assert plan.config_name == "qp37"
    counts = {s: len(n) for s, n in _splits(plan).items()}
    assert counts == {"train": 240, "val": 15, "test": 15}
    assert all(Path(j.compressed).stem == Path(j.origin.path).stem for j in plan.jobs)
    assert {j.qp for j in plan.jobs} == {37} and {j.recipe for j in plan.jobs} == {None}
    (encoded,) = _plan("ldv_v2", source=str(tmp_path), encode=True)
    assert encoded.config_name == "x265_qp37" and not any(j.compressed for j in encoded.jobs)
    (tmp_path / "track1_val_gt" / "002.mkv").unlink()
    with pytest.raises(UserError, match=r"14 videos; expected 15.*LDV_dataset.*--partial"):
        _plan("ldv_v2", source=str(tmp_path))
    (tmp_path / "test_track1" / "test_track1" / "003.mkv").unlink()
    (part,) = _plan("ldv_v2", source=str(tmp_path), partial=True)
    assert len(_splits(part)["test"]) == 14 and "test_003" not in _splits(part)["test"]


def _photo(path: Path, seed: int, width: int, height: int) -> None:
    from vqe_jax.video import PixelFormat
    from vqe_jax.video.png import encode_png

    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (3, height // 8, width // 8), dtype=np.uint8)
    planes = tuple(np.kron(plane, np.ones((8, 8), np.uint8)) for plane in small)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(Frame(planes, PixelFormat(8, "rgb"))))


def test_scenes_of_any_photographs(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for index, (name, width) in enumerate([("a", 160), ("b", 160), ("deep/pan", 480), ("c", 160)]):
        _photo(folder / f"{name}.png", index, width, 120)
    _photo(folder / ".thumbnails" / "a.png", 0, 160, 120)
    options = {"source": str(folder), "width": 96, "height": 64, "length": 3}
    (plan,) = _plan("scenes", **options, per_photo=2)
    splits = _splits(plan)
    assert {s: len(n) for s, n in splits.items()} == {"train": 6, "val": 2}
    assert "deep_pan_1" in splits["train"] | splits["val"]
    by_split = {
        split: {p for j in plan.jobs if j.split == split for p in _photos(j.origin.scene)}
        for split in splits
    }
    assert not by_split["train"] & by_split["val"]
    assert plan.fingerprint == _plan("scenes", **options, per_photo=2)[0].fingerprint
    assert plan.fingerprint != _plan("scenes", **options, per_photo=2, seed=1)[0].fingerprint
    scenes = [job.origin.scene for job in plan.jobs]
    assert len({scene.seed for scene in scenes}) == len(scenes)
    assert all(0 <= s.noise <= 2 and 0.3 <= s.speed <= 1.5 for s in scenes)
    wide = next(j.origin for j in plan.jobs if j.name == "deep_pan_0")
    info, frames = wide.open()
    pictures = [frame.planes[0] for frame in frames]
    assert len(pictures) == 3 and pictures[0].shape == (info.height, info.width) == (64, 96)
    assert np.ptp(pictures[0]) > 100
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no photographs"):
        _plan("scenes", source=str(tmp_path / "empty"))
    with pytest.raises(UserError, match="no photograph is named 'x\\*'"):
        _plan("scenes", source=str(folder), include=("x*",))


def _photos(scene: Scene) -> set[str]:
    return {scene.photo, *scene.foregrounds}
