"""Opening data sets and reading pairs."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from vqe_jax.data import open_pairs
from vqe_jax.data.build import build
from vqe_jax.errors import UserError
from vqe_jax.video import read_frames, to_rgb


def test_a_moved_data_set_decodes_its_streams(data_dir: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(data_dir, moved, ignore=shutil.ignore_patterns(".planes"))
    pair = open_pairs(moved, "clips", "val", "qp37")[0]
    original = open_pairs(data_dir, "clips", "val", "qp37")[0]
    for which in ("raw", "compressed"):
        np.testing.assert_array_equal(pair.planes(which).map(), original.planes(which).map())
    kept = list((moved / "clips" / ".planes").iterdir())
    assert sorted(p.suffix for p in kept) == [".sum", ".sum", ".yuv", ".yuv"]


def test_a_torn_cache_file_is_made_again(data_dir: Path, tmp_path: Path) -> None:
    def opened():  # type: ignore[no-untyped-def]
        return open_pairs(data_dir, "clips", "val", "qp37", cache_dir=tmp_path)[0]

    whole = np.array(opened().read("raw", "luma"))
    (file,) = tmp_path.glob("*.yuv")
    file.write_bytes(file.read_bytes()[:-5])
    np.testing.assert_array_equal(opened().read("raw", "luma"), whole)


def test_rgb_is_the_video_rooms(data_dir: Path) -> None:
    pair = open_pairs(data_dir, "clips", "train", "qp37")[0]
    frame = read_frames(pair.source, 3, 1)[0]
    expected = to_rgb(frame, pair.info.video)
    rgb = pair.read("raw", "rgb", 3, 1)
    assert rgb.dtype == np.uint8 and rgb.shape == (1, 80, 96, 3)
    assert np.abs(rgb[0] / 255 - expected).max() <= 0.5 / 255 + 1e-6
    assert pair.read("compressed", "rgb").shape == (len(pair), 80, 96, 3)


def test_parts_of_clips(data_dir: Path) -> None:
    pair = open_pairs(data_dir, "clips", "train", "qp37")[0]
    np.testing.assert_array_equal(
        pair.read("compressed", "luma", 2, 5), pair.read("compressed", "luma")[2:7]
    )
    with pytest.raises(UserError, match="of a clip of 14"):
        pair.read("raw", "luma", 10, 5)


def test_pairs_travel_to_other_processes_as_names(data_dir: Path) -> None:
    pair = open_pairs(data_dir, "clips", "train", "qp37")[0]
    luma = pair.read("raw", "luma")
    copied = pickle.dumps(pair)
    assert len(copied) < 3000
    np.testing.assert_array_equal(pickle.loads(copied).read("raw", "luma"), luma)


def test_several_configurations_follow_each_other(data_dir: Path) -> None:
    once = open_pairs(data_dir, "clips", "train", "qp37")
    assert len(open_pairs(data_dir, "clips", "train", ["qp37", "qp37"])) == 2 * len(once)
    both = open_pairs(data_dir, "demo", "train", ["clips/qp37"])
    assert [p.name for p in both] == [p.name for p in once]
    with pytest.raises(UserError, match="no data set demo/qp37"):
        open_pairs(data_dir, "demo", "train", ["clips/qp37", "qp37"])


def test_what_is_not_there_is_named(data_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'qp37'"):
        open_pairs(data_dir, "clips", "train", "qp38")
    with pytest.raises(UserError, match="no split 'test'; known: train, val"):
        open_pairs(data_dir, "clips", "test", "qp37")
    with pytest.raises(UserError, match=r"python -m vqe_jax\.data demo"):
        open_pairs(tmp_path, "demo", "train", "qp37")


def test_damaged_streams_are_named_and_mended(data_dir: Path, videos: Path, tmp_path: Path) -> None:
    options = {"source": str(videos / "trip"), "val_fraction": 0.0, "frames": 4, "workers": 1}
    (built,) = build("clips", tmp_path, **options, quiet=True)
    whole = np.array(built.pairs["train"][1].read("raw", "luma"))
    pair = built.pairs["train"][1]
    (stream,) = tmp_path.glob(f"clips/.streams/{pair.info.raw_sha256[:32]}.*")
    data = stream.read_bytes()
    stream.write_bytes(data[:99] + bytes([data[99] ^ 1]) + data[100:])
    with pytest.raises(UserError, match=r"missing or damaged.*--check"):
        pair.encoded("raw")
    assert build("clips", tmp_path, **options, quiet=True)  # up to date, as it looks
    assert stream.read_bytes() != data
    (mended,) = build("clips", tmp_path, **options, check=True, quiet=True)
    np.testing.assert_array_equal(mended.pairs["train"][1].read("raw", "luma"), whole)
    assert stream.read_bytes() == data
