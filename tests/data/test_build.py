"""Building data sets from videos: what is stored, what is kept, what is refused."""

import contextlib
import errno
import io
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data.conftest import make_frames, write_video
from vqe_jax.data import encode_clips, open_pairs, tfds_builder
from vqe_jax.data.build import build
from vqe_jax.data.encode_clips import make_compressed, make_raw
from vqe_jax.data.jobs import ClipJob, VideoOrigin
from vqe_jax.data.recipes import Recipe
from vqe_jax.data.store import Store
from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.video import encode_hevc, low_delay_p, open_reader, read_frames

QUIET = {"workers": 1, "quiet": True}
assert tfds_builder  # registers the builders with TFDS


def test_tfds_opens_what_was_built(data_dir: Path, tmp_path: Path) -> None:
    builder = tfds.builder("clips/qp37", data_dir=str(data_dir))
    records = {r["name"].decode(): r for r in builder.as_data_source("train")}
    pairs = {p.name: p for p in open_pairs(data_dir, "clips", "train", "qp37")}
    assert list(records) == list(pairs)
    assert len(builder.as_data_source("train[:50%]+val")) == 4
    assert set(builder.as_data_source()) == {"train", "val"}
    plain = next(n for n in pairs if "+" not in n)
    record, pair = records[plain], pairs[plain]
    video = tmp_path / "compressed.hevc"
    video.write_bytes(record["compressed"])
    decoded = np.stack([f.planes[0] for f in read_frames(video)])
    np.testing.assert_array_equal(decoded, pair.read("compressed", "luma"))
    raw = np.stack([f.planes[0] for f in read_frames(pair.source)])
    np.testing.assert_array_equal(raw, pair.read("raw", "luma"))
    assert record["raw"] == pair.encoded("raw")
    assert record["frame_qps"].tolist() == list(pair.frame_qps)
    error = np.square(raw.astype(float) - decoded).mean(axis=(1, 2))
    assert pair.info.psnr_y == pytest.approx(np.mean(10 * np.log10(255**2 / error)), abs=1e-4)
    assert set(record) == set(builder.info.features)


def test_encodings_of_a_clip_share_its_raw_stream_and_planes(videos: Path, tmp_path: Path) -> None:
    options = {"source": str(videos / "park.mkv"), "split": "train", "frames": 3}
    better, worse = build("clips", tmp_path, qp=(27, 37), **options, **QUIET)
    a, b = better.pairs["train"][0].info, worse.pairs["train"][0].info
    assert a.raw_sha256 == b.raw_sha256 and a.psnr_y > b.psnr_y
    assert sorted(p.suffix for p in (tmp_path / "clips" / ".streams").iterdir()) == [
        ".h264",
        ".hevc",
        ".hevc",
    ]
    assert len(list((tmp_path / "clips" / ".planes").glob("*.yuv"))) == 3
    # A configuration that is gone takes with it what nothing else needs.
    shutil.rmtree(worse.path)
    build("clips", tmp_path, qp=(32,), **options, **QUIET)
    kept = {p.name[:32] for p in (tmp_path / "clips" / ".planes").iterdir()}
    assert {a.raw_sha256[:32], a.compressed_sha256[:32]} < kept
    assert b.compressed_sha256[:32] not in kept and len(kept) == 3


def test_pairs_that_share_a_clip_make_it_once(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("x", "y"):
        (tmp_path / "twice" / folder).mkdir(parents=True)
        shutil.copy2(videos / "park.mkv", tmp_path / "twice" / folder / "park.mkv")
    made = []

    def counted(job: ClipJob, *more: object) -> object:
        made.append(job.name)
        return make_compressed(job, *more)

    monkeypatch.setattr(encode_clips, "make_compressed", counted)
    options = {"source": str(tmp_path / "twice"), "split": "train", "frames": 3}
    (built,) = build("clips", tmp_path, **options, **QUIET)
    assert [p.name for p in built.pairs["train"]] == ["x_park", "y_park"]
    assert len({p.info.compressed_sha256 for p in built.pairs["train"]}) == len(made) == 1


def test_frames_that_repeat_are_found(tmp_path: Path) -> None:
    frames = make_frames(6, 0)
    video = write_video(
        tmp_path / "clip_96x80_8.yuv", [frames[0], *frames[:3], frames[2], *frames[3:]]
    )
    (built,) = build("clips", tmp_path, source=str(video), split="train", **QUIET)
    (pair,) = built.pairs["train"]
    assert pair.info.duplicates == (1, 4)
    assert pair.distinct_frames().tolist() == [0, 2, 3, 5, 6, 7]


def test_an_older_form_says_what_to_do(tmp_path: Path) -> None:
    old = tmp_path / "clips" / "qp37" / "1.0.0"
    old.mkdir(parents=True)
    (old / "dataset_info.json").touch()
    with pytest.raises(UserError, match=r"older form 1\.0\.0.*python -m vqe_jax\.data clips"):
        open_pairs(tmp_path, "clips", "train", "qp37")


def test_frame_types_and_qps_are_the_recipes(data_dir: Path) -> None:
    for pair in open_pairs(data_dir, "clips", "train", "qp37"):
        expected = [low_delay_p(pair.qp).frame_qp(i) for i in range(len(pair))]
        assert list(pair.frame_qps) == expected
        assert pair.frame_types == "I" + "P" * (len(pair) - 1)
        assert pair.fps in (25.0, 12.5)


def test_splits_and_variants(data_dir: Path) -> None:
    train = open_pairs(data_dir, "clips", "train", "qp37")
    val = open_pairs(data_dir, "clips", "val", "qp37")
    names = {p.name for p in train}
    plain = {n for n in names if not n.endswith("+1")}
    assert {n.removesuffix("+1") for n in names - plain} == plain
    assert {*plain, *(p.name for p in val)} == {"park", "street", "trip_boat", "trip_cat"}
    assert all(p.info.variant == "" and p.qp == 37 for p in train if p.name in plain)
    assert all(p.info.variant and abs(p.qp - 37) <= 3 for p in train if p.name not in plain)
    assert not (data_dir / "clips" / ".parts").exists()


def test_what_is_up_to_date_is_left_alone_and_changes_reuse(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []

    def counting(job, store, raw):  # type: ignore[no-untyped-def]
        if store.facts(job.key) is None:
            encoded.append(job.name)
        return make_compressed(job, store, raw)

    monkeypatch.setattr(encode_clips, "make_compressed", counting)
    options = {"source": str(videos), "val_fraction": 0.0, "frames": 4, **QUIET}
    built = build("clips", tmp_path, include=["park", "trip_*"], **options)
    assert sorted(encoded) == ["park", "trip_boat", "trip_cat"]
    stamp = (built[0].path / "metadata.json").stat().st_mtime_ns
    again = build("clips", tmp_path, include=["park", "trip_*"], **options)
    assert (again[0].path / "metadata.json").stat().st_mtime_ns == stamp
    encoded.clear()
    more = build("clips", tmp_path, include=["*"], **options)
    assert encoded == ["street"]
    assert len(more[0].pairs["train"]) == 4
    encoded.clear()
    fewer = build("clips", tmp_path, include=["park"], **options)
    assert encoded == []
    assert len(list((tmp_path / "clips" / ".planes").glob("*.yuv"))) == 2
    np.testing.assert_array_equal(
        fewer[0].pairs["train"][0].read("raw", "luma"),
        np.stack([f.planes[0] for f in read_frames(videos / "park.mkv", 0, 4)]),
    )


def test_an_interrupt_keeps_what_is_built(videos: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for index in range(6):
        shutil.copy2(videos / "park.mkv", sources / f"clip{index}.mkv")
    command = [sys.executable, "-m", "vqe_jax.data", "clips", "--data_dir", str(tmp_path)]
    command += ["--source", str(sources), "--workers", "2", "--preset", "veryslow"]
    store = tmp_path / "clips" / ".facts"
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def kept() -> list[Path]:
        return list(store.glob("*.json"))

    while running.poll() is None and not kept():
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    if running.returncode == 0:
        pytest.skip("it was done before it could be interrupted")
    assert running.returncode == 130
    assert "interrupted" in err and "Traceback" not in err
    assert kept()
    subprocess.run([*command, "--no-planes"], check=True, capture_output=True)
    assert len(open_pairs(tmp_path, "clips", "train", "qp37")) == 5


def test_a_damaged_stream_is_made_again(videos: Path, tmp_path: Path) -> None:
    origin = VideoOrigin(str(videos / "park.mkv"), frames=3)
    job = ClipJob("park", "train", 37, origin, Recipe("low_delay_p", 37))
    store = Store(tmp_path, "clips")
    raw = make_raw(job, store)
    first = make_compressed(job, store, raw)
    (stream,) = store.folder.glob(".streams/*.hevc")
    whole = stream.read_bytes()
    stream.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert make_compressed(job, store, raw) == first
    assert stream.read_bytes() == whole
    assert not list(store.folder.glob(".unfinished/*"))


def test_given_streams(videos: Path, tmp_path: Path) -> None:
    streams = tmp_path / "streams"
    (streams / "street").mkdir(parents=True)
    with open_reader(videos / "park.mkv") as park, open_reader(videos / "street.mkv") as street:
        encode_hevc(park, streams / "park.hevc", park.info, low_delay_p(32))
        encode_hevc(street, streams / "street" / "hm.hevc", street.info, low_delay_p(32))
    given = {"source": str(videos), "compressed_source": str(streams), "split": "test", "qp": 32}
    with pytest.raises(UserError, match=r"no stream of 2 clips \(trip_boat, trip_cat\)"):
        build("clips", tmp_path, **given, **QUIET)
    (built,) = build("clips", tmp_path, **given, skip_missing=True, **QUIET)
    assert built.config_name == "streams"
    pairs = {p.name: p for p in built.pairs["test"]}
    assert set(pairs) == {"park", "street"}
    assert pairs["park"].frame_qps[:3] == (31, 39, 38)
    assert pairs["park"].encoded("compressed") == (streams / "park.hevc").read_bytes()
    # Only the caller knows what QP was asked for; told another, the record says so.
    (again,) = build("clips", tmp_path, **given | {"qp": 37}, skip_missing=True, **QUIET)
    assert {p.qp for p in pairs.values()} == {32} and {p.qp for p in again.pairs["test"]} == {37}


def test_decoded_streams_are_kept_without_loss(videos: Path, tmp_path: Path) -> None:
    streams = tmp_path / "decoded"
    streams.mkdir()
    frames = make_frames(14, 9)
    write_video(streams / "park_96x80_14.yuv", frames)
    raw = tmp_path / "raw"
    raw.mkdir()
    shutil.copy(videos / "park.mkv", raw / "park_96x80_14.mkv")
    (built,) = build(
        "clips", tmp_path, source=str(raw), compressed_source=str(streams), split="test", **QUIET
    )
    (pair,) = built.pairs["test"]
    np.testing.assert_array_equal(pair.read("compressed", "luma"), [f.planes[0] for f in frames])
    assert pair.frame_types == "?" * 14
    assert set(pair.frame_qps) == {-1}


@pytest.mark.parametrize(
    ("frames", "size", "what"),
    [
        (13, (96, 80), "13 frames but its pair has 14"),
        (14, (64, 80), "64x80 but its pair is 96x80"),
    ],
)
def test_pairs_that_do_not_match(
    frames: int, size: tuple[int, int], what: str, videos: Path, tmp_path: Path
) -> None:
    streams = tmp_path / "streams"
    streams.mkdir()
    write_video(streams / "park.mkv", make_frames(frames, 0, *size))
    options = {"source": str(videos / "park.mkv"), "compressed_source": str(streams)}
    with pytest.raises(UserError, match=what) as caught:
        build("clips", tmp_path, split="test", **options, **QUIET)
    assert str(streams / "park.mkv") in str(caught.value)


def test_unreadable_sources_are_named(videos: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    shutil.copy(videos / "park.mkv", sources / "good.mkv")
    (sources / "bad.mp4").write_bytes(b"no video at all" * 50)
    (sources / "empty.mkv").touch()
    with pytest.raises(UserError, match="2 of 3 clips failed") as caught:
        build("clips", tmp_path, source=str(sources), **QUIET)
    assert "bad.mp4" in str(caught.value) and "empty.mkv" in str(caught.value)
    assert len(list((tmp_path / "clips" / ".facts").glob("*.json"))) == 1


def test_a_full_disk_is_no_mistake_of_the_user(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "take_in", full)
    with pytest.raises(EnvironmentFailure, match=r"no space left.*is kept"):
        build("clips", tmp_path, source=str(videos), **QUIET)


def test_two_builds_do_not_meet(videos: Path, tmp_path: Path) -> None:
    with (
        Store(tmp_path, "clips").alone(),
        pytest.raises(UserError, match="being built by another process"),
    ):
        build("clips", tmp_path, source=str(videos), **QUIET)


def test_a_bit_rate_needs_a_frame_rate(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip_96x80_6.yuv", make_frames(6, 0))
    options = {"source": str(video), "recipe": "two_pass", "kbps": 50, "split": "test"}
    with pytest.raises(UserError, match="--frame-rate"):
        build("clips", tmp_path, **options, **QUIET)
    (built,) = build("clips", tmp_path, frame_rate="25", **options, **QUIET)
    (pair,) = built.pairs["test"]
    assert built.config_name == "two_pass_50k" and 20 < pair.qp <= 51
    assert pair.info.quality == "kbps 50" and pair.info.codec == "hevc"
    assert pair.frame_types[0] == "I" and -1 not in pair.frame_qps


def test_tfds_builds_it_without_our_command(videos: Path, tmp_path: Path) -> None:
    # As a user of TFDS would; TFDS's names for the folders, our videos.
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    for name in ("park", "street"):
        shutil.copy(videos / f"{name}.mkv", manual)
    builder = tfds.builder("clips/qp42", data_dir=str(tmp_path))
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare()
    (record,) = builder.as_data_source("val")
    assert record["frames"] == 14 and record["recipe"] == b"low_delay_p qp 42"
    assert len(open_pairs(tmp_path, "clips", "val", "qp42")[0]) == 14


def test_a_source_of_ones_own(videos: Path, tmp_path: Path) -> None:
    (built,) = build("tests.data.own_source:Parks", tmp_path, source=str(videos), **QUIET)
    assert built.path == tmp_path / "parks" / "qp37" / "2.0.0"
    assert [p.name for p in open_pairs(tmp_path, "parks", "train", "qp37")] == ["park"]
    with pytest.raises(UserError, match="expected a subclass of"):
        build("tests.data.conftest:make_frames", tmp_path)


def test_streams_of_the_reference_encoder(shared: Path, tmp_path: Path) -> None:
    (built,) = build(
        "clips",
        tmp_path,
        source=str(shared / "data" / "val"),
        include="aot1007*",
        compressed_source=str(shared / "data" / "bitstreams" / "val"),
        stem="hm1625_ldp_gop4_qp37",
        split="test",
        **QUIET,
    )
    (pair,) = built.pairs["test"]
    assert pair.frame_qps[:9] == (36, 45, 44, 45, 38, 45, 44, 45, 38)
    # Mean PSNR-Y of this stream as FFmpeg's decoder and an independent script had it.
    assert pair.info.psnr_y == pytest.approx(27.67, abs=0.006)


def test_options_are_checked(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'augment'"):
        build("clips", tmp_path, source=str(videos), agument=2)
    with pytest.raises(UserError, match="did you mean 'clips'"):
        build("clip", tmp_path)
    with pytest.raises(UserError, match="QP 60 is out of range"):
        build("clips", tmp_path, source=str(videos), qp=60)
    with pytest.raises(UserError, match="--source my_videos"):
        build("clips", tmp_path)
    with pytest.raises(UserError, match="no clip is named 'parc'; did you mean 'park'"):
        build("clips", tmp_path, source=str(videos), include="parc")
