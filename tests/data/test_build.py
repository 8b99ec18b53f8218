"""Building data sets from videos: what is in the records, what is kept, what is refused."""

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
from vqe_jax.data import build as build_module
from vqe_jax.data import encoding, open_pairs
from vqe_jax.data.build import build
from vqe_jax.data.builders import builder_class
from vqe_jax.data.encoding import encode_clip
from vqe_jax.data.sources import source
from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.video import encode_hevc, low_delay_p, open_reader, read_frames

QUIET = {"workers": 1, "quiet": True}


def test_records_hold_both_clips(data_dir: Path, videos: Path, tmp_path: Path) -> None:
    builder = tfds.builder_from_directory(str(data_dir / "clips" / "qp37" / "1.0.0"))
    records = {r["name"].decode(): r for r in builder.as_data_source("train")}
    pairs = {p.name: p for p in open_pairs(data_dir, "clips", "train", "qp37")}
    assert set(records) == set(pairs)
    plain = next(n for n in pairs if "+" not in n)
    record, pair = records[plain], pairs[plain]
    video = tmp_path / "compressed.hevc"
    video.write_bytes(record["compressed"])
    decoded = np.stack([f.planes[0] for f in read_frames(video)])
    np.testing.assert_array_equal(decoded, pair.compressed_luma())
    raw = np.stack([f.planes[0] for f in read_frames(pair.source)])
    np.testing.assert_array_equal(raw, pair.raw_luma())
    assert record["raw"] == pair.encoded("raw")
    error = np.square(raw.astype(float) - decoded).mean(axis=(1, 2))
    assert pair.info.psnr_y == pytest.approx(np.mean(10 * np.log10(255**2 / error)), abs=1e-4)


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

    def counting(job, store, planes):  # type: ignore[no-untyped-def]
        if not (store / job.key).exists():
            encoded.append(job.name)
        return encode_clip(job, store, planes)

    monkeypatch.setattr(build_module, "encode_clip", counting)
    options = {"source": str(videos), "val_fraction": 0.0, "frames": 4, **QUIET}
    built = build("clips", tmp_path, include=["park", "trip_*"], **options)
    assert sorted(encoded) == ["park", "trip_boat", "trip_cat"]
    stamp = (built[0].path / "metadata.json").stat().st_mtime_ns
    again = build("clips", tmp_path, include=["park", "trip_*"], **options)
    assert (again[0].path / "metadata.json").stat().st_mtime_ns == stamp
    encoded.clear()
    more = build("clips", tmp_path, include=["*"], **options)
    assert encoded == ["street"]  # the others were taken out of the records
    assert len(more[0].pairs["train"]) == 4
    encoded.clear()
    fewer = build("clips", tmp_path, include=["park"], **options)
    assert encoded == []
    assert len(list((tmp_path / "clips" / ".planes").glob("*.yuv"))) == 2
    np.testing.assert_array_equal(
        fewer[0].pairs["train"][0].raw_luma(),
        np.stack([f.planes[0] for f in read_frames(videos / "park.mkv", 0, 4)]),
    )


def test_an_interrupt_keeps_what_is_built(videos: Path, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    for index in range(6):
        shutil.copy2(videos / "park.mkv", sources / f"clip{index}.mkv")
    command = [sys.executable, "-m", "vqe_jax.data", "clips", "--data_dir", str(tmp_path)]
    command += ["--source", str(sources), "--workers", "2", "--preset", "veryslow"]
    store = tmp_path / "clips" / ".parts"
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def kept() -> list[Path]:
        return [p for p in store.glob("*/part.json") if p.parent.suffix != ".part"]

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


def test_a_damaged_part_is_made_again(videos: Path, tmp_path: Path) -> None:
    from vqe_jax.data.jobs import ClipJob, Recipe, VideoOrigin

    origin = VideoOrigin(str(videos / "park.mkv"), frames=3)
    job = ClipJob("park", "train", 37, origin, Recipe("low_delay_p", 37))
    first = encode_clip(job, tmp_path, None)
    stream = tmp_path / job.key / "compressed.hevc"
    whole = stream.read_bytes()
    stream.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert encode_clip(job, tmp_path, None) == first
    assert stream.read_bytes() == whole
    assert sorted(p.name for p in stream.parent.iterdir()) == [
        "compressed.hevc",
        "part.json",
        "raw.h264",
    ]


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
    np.testing.assert_array_equal(pair.compressed_luma(), [f.planes[0] for f in frames])
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
    assert len(list((tmp_path / "clips" / ".parts").glob("*/part.json"))) == 1


def test_a_full_disk_is_no_mistake_of_the_user(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encoding, "write_manifest", full)
    with pytest.raises(EnvironmentFailure, match=r"no space left.*is kept"):
        build("clips", tmp_path, source=str(videos), **QUIET)


def test_two_builds_do_not_meet(videos: Path, tmp_path: Path) -> None:
    with (
        build_module._alone(tmp_path / "clips"),
        pytest.raises(UserError, match="being built by another process"),
    ):
        build("clips", tmp_path, source=str(videos), **QUIET)


def test_a_bit_rate_needs_a_frame_rate(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip_96x80_6.yuv", make_frames(6, 0))
    options = {"source": str(video), "recipe": "two_pass", "kbps": 50, "split": "test"}
    with pytest.raises(UserError, match="--frame_rate"):
        build("clips", tmp_path, **options, **QUIET)
    (built,) = build("clips", tmp_path, frame_rate="25", **options, **QUIET)
    (pair,) = built.pairs["test"]
    assert built.config_name == "two_pass_50k" and pair.qp == 0
    assert pair.frame_types[0] == "I" and -1 not in pair.frame_qps


def test_tfds_builds_it_without_our_command(tmp_path: Path) -> None:
    # As a user of TFDS would; TFDS's names for the folders, our photographs.
    module = source("demo")
    small = module.plan(module.OPTIONS(clips=1, val_clips=1, length=2, width=64, height=64))
    builder = builder_class("demo")(data_dir=str(tmp_path), config="qp37", plan=small[0])
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare()
    (record,) = builder.as_data_source("val")
    assert record["frames"] == 2 and record["recipe"] == b"low_delay_p qp 37"
    assert len(open_pairs(tmp_path, "demo", "val", "qp37")[0]) == 2


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
