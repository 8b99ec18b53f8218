"""Encoders of ordinary files, and the mixture of them."""

import collections
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import HEIGHT, WIDTH, make_frames
from vqe_jax.data import mixed, open_pairs, recipes
from vqe_jax.data.build import build
from vqe_jax.data.mixed import draw_recipes
from vqe_jax.data.planes import PlaneFile
from vqe_jax.data.recipes import ENCODERS, Recipe
from vqe_jax.errors import UserError
from vqe_jax.video import Frame, VideoInfo, frame_qps, open_reader

INFO = VideoInfo(WIDTH, HEIGHT, frame_rate=Fraction(10172, 339))  # an odd one, of a real file
# A good and a poor quality of each.
VALUES = {"two_pass": (400, 40), "x265_bits": (900, 60), "x264_bits": (900, 60)}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> PlaneFile:
    planes = PlaneFile(tmp_path_factory.mktemp("clip") / "clip.yuv", WIDTH, HEIGHT, 8)
    planes.write(make_frames(8, 3))
    return planes


@pytest.mark.parametrize("name", [n for n in ENCODERS if n != "clean"])
def test_an_encoder_keeps_all_frames_and_obeys_its_number(
    name: str, clip: PlaneFile, tmp_path: Path
) -> None:
    encoder = ENCODERS[name]
    assert encoder.missing() == ""
    default = (4, 20) if encoder.unit == "q" else (24, 40)
    sizes, errors = [], []
    for value in VALUES.get(name, default):
        path = Recipe(name, value).check().encode(clip, tmp_path / f"clip{value}", INFO)
        with open_reader(path) as reader:
            assert encoder.family in (reader.info.codec, "av1")
            decoded = np.stack([f.planes[0] for f in reader]).astype(int)
        assert decoded.shape == clip.luma().shape
        sizes.append(path.stat().st_size)
        errors.append(np.square(decoded - clip.luma()).mean())
        if encoder.suffix == ".nut":  # a container without a date or a random number in it
            again = Recipe(name, value).encode(clip, tmp_path / "again", INFO)
            assert again.read_bytes() == path.read_bytes()
        if encoder.unit == "qp" and name != "low_delay_p":
            found = [f.qp for f in frame_qps(path) if f.frame_type == "P"]
            assert abs(np.mean(found) - value) <= (8 if name == "kvazaar" else 1)
    assert sizes[0] > sizes[1] and errors[0] < errors[1]


def test_kvazaar_takes_any_even_size(tmp_path: Path) -> None:
    planes = PlaneFile(tmp_path / "clip.yuv", 90, 68, 3)
    wide = [frame.planes for frame in make_frames(3, 3, 92, 68)]
    planes.write(Frame((y[:, :90], u[:, :45], v[:, :45])) for y, u, v in wide)
    path = Recipe("kvazaar", 24).encode(planes, tmp_path / "clip", VideoInfo(90, 68))
    with open_reader(path) as reader:
        decoded = np.stack([f.planes[0] for f in reader]).astype(int)
    assert decoded.shape == (3, 68, 90)
    assert np.abs(decoded - planes.luma()).mean() < 5


def test_numbers_out_of_range() -> None:
    with pytest.raises(UserError, match="CRF 99 is out of range; vp9 takes 0 to 63"):
        Recipe("vp9", 99).check()
    with pytest.raises(UserError, match="did you mean 'x264_crf'"):
        Recipe("x264crf", 20).check()


def test_draws_follow_from_clip_and_seed() -> None:
    drawn = draw_recipes("park", 0, 8)
    assert drawn == draw_recipes("park", 0, 8)
    assert drawn[:5] == draw_recipes("park", 0, 5)
    assert drawn != draw_recipes("park", 1, 8) and drawn != draw_recipes("street", 0, 8)
    assert len(set(drawn)) == 8 and drawn[0].name == "low_delay_p"
    many = [recipe.check() for n in range(60) for recipe in draw_recipes(f"clip{n}", 0, 8)]
    counts = collections.Counter(recipe.name for recipe in many)
    assert set(counts) == {n for n in ENCODERS if n != "two_pass"}
    assert counts["low_delay_p"] == 60 and counts["clean"] < counts["svt_av1"]
    qps = [recipe.value for recipe in many if recipe.name == "low_delay_p"]
    assert min(qps) <= 23 and max(qps) >= 44
    with pytest.raises(UserError, match="--encodings 99"):
        draw_recipes("park", 0, 99)


def test_a_missing_encoder_is_named_and_changes_no_other_draw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = draw_recipes("park", 0, 15)
    monkeypatch.setattr(recipes, "_has", lambda library: library != "libsvtav1")
    assert [r for r in whole if r.name != "svt_av1"] == draw_recipes("park", 0, 15)
    (sentence,) = mixed.left_out()
    assert sentence == "svt_av1 is left out: PyAV's FFmpeg has no libsvtav1"


def test_a_mixed_data_set(videos: Path, tmp_path: Path) -> None:
    options = {"source": str(videos / "trip"), "val_fraction": 0.0, "frames": 3, "quiet": True}
    (built,) = build("clips", tmp_path, recipe="mixed", encodings=15, workers=1, **options)
    pairs = {p.name: p for p in open_pairs(tmp_path, "clips", "train", "mixed")}
    assert len(pairs) == 30 and built.config_name == "mixed"
    infos = [p.info for name, p in pairs.items() if name.startswith("boat@")]
    assert len({i.raw_sha256 for i in infos}) == 1
    assert {i.codec for i in infos} == {
        "av1",
        "h264",
        "hevc",
        "mpeg2video",
        "mpeg4",
        "none",
        "vp9",
    }
    clean = pairs["boat@clean"]
    np.testing.assert_array_equal(clean.read("raw", "luma"), clean.read("compressed", "luma"))
    assert clean.qp == -1 and clean.info.quality == ""
    for info in infos:
        known = info.codec in ("hevc", "h264")
        assert (info.qp >= 0) == known == (min(info.frame_qps) >= 0)
        assert len(info.frame_types) == len(info.frame_qps) == 3
    streams = {p.suffix for p in (tmp_path / "clips" / ".streams").iterdir()}
    assert streams == {".h264", ".hevc", ".nut"}
    assert len(list((tmp_path / "clips" / ".planes").glob("*.yuv"))) == 30  # the clean ones are raw


def test_any_encoder_by_its_name(videos: Path, tmp_path: Path) -> None:
    options = {"source": str(videos / "park.mkv"), "split": "test", "frames": 3, "quiet": True}
    (built,) = build("clips", tmp_path, recipe="vp9", quality=40, workers=1, **options)
    assert built.config_name == "vp9_40"
    assert built.pairs["test"][0].info.quality == "crf 40"
    (built,) = build("clips", tmp_path, recipe="kvazaar", qp=32, workers=1, **options)
    assert built.config_name == "kvazaar_32" and min(built.pairs["test"][0].frame_qps) >= 30
    with pytest.raises(UserError, match="--recipe vp9 needs its crf"):
        build("clips", tmp_path, recipe="vp9", **options)
