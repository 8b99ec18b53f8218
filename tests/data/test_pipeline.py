"""Training batches."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from vqe_jax.data import Pair, open_pairs
from vqe_jax.data.build import build
from vqe_jax.data.pair import PairInfo, SideInfo
from vqe_jax.data.pipeline import BatchSource, DataConfig, batches
from vqe_jax.data.store import Store
from vqe_jax.errors import UserError


class Numbered(Pair):
    """A pair each of whose samples is unlike any other's nearby; compressed is raw + 1."""

    def __init__(
        self, name: str, frames: int, height: int, width: int, qp: int = 37, **facts: object
    ) -> None:
        values = dict.fromkeys(PairInfo.__annotations__, "")
        values.update(name=name, qp=qp, width=width, height=height, frames=frames)
        values.update(frame_qps=tuple(range(frames)), duplicates=())
        values.update(frame_types=("IPB?" * frames)[:frames])
        values.update(psnr_y=0.0, raw_bytes=0, compressed_bytes=0)
        super().__init__(PairInfo(**{**values, **facts}), Store("", "none"), Path())
        t, y, x = np.indices((frames, height, width))
        self._raw = ((x + 16 * y + 64 * t) % 251).astype(np.uint8)

    def clip(self, side: str, color: str) -> np.ndarray:
        luma = self._raw + np.uint8(side == "compressed")
        return luma if color == "luma" else np.stack([luma] * 3, axis=-1)


PAIRS = (Numbered("a", 9, 16, 20), Numbered("b", 12, 24, 16, qp=32))
CONFIG = DataConfig(frames=3, crop=8, batch=4)


def _source(seed: int = 0, **changes: object) -> BatchSource:
    host, hosts = changes.pop("host", 0), changes.pop("hosts", 1)
    config = DataConfig(**{"frames": 3, "crop": 8, "batch": 4, **changes})
    return BatchSource(PAIRS, config, seed=seed, host=host, hosts=hosts)


def _same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_shapes_and_values() -> None:
    batch = _source()[0]
    assert batch["raw"].shape == batch["compressed"].shape == (4, 3, 8, 8, 1)
    assert batch["raw"].dtype == np.float32 and batch["qp"].dtype == np.int32
    # The same place, frames and turn in both clips: one code value apart everywhere.
    np.testing.assert_allclose(batch["compressed"] - batch["raw"], 1 / 255, atol=1e-6)
    assert set(batch["qp"]) <= {32, 37}


def test_code_values_are_rounded_once() -> None:
    pair = Numbered("a", 1, 16, 16)
    config = DataConfig(frames=1, crop=16, batch=1)
    exact = (pair.clip("raw", "luma").astype(np.float64) / 255).astype(np.float32)
    np.testing.assert_array_equal(BatchSource([pair], config, seed=0)[0]["raw"][0, ..., 0], exact)


def test_every_crop_is_a_piece_of_its_clip() -> None:
    source = _source(batch=8)
    for step in range(4):
        batch = source[step]
        for i in range(8):
            pair = PAIRS[0] if batch["qp"][i] == 37 else PAIRS[1]
            start = batch["frame_qp"][i, 0]
            clip = np.rint(batch["raw"][i, ..., 0] * 255).astype(np.uint8)
            assert _found(pair, start, clip)


def test_a_batch_has_what_the_streams_say() -> None:
    batch = _source(batch=16)[0]
    numbers = batch["frame_qp"]  # those of the frames
    assert (np.diff(numbers) == 1).all()
    np.testing.assert_array_equal(batch["frame_type"], np.array([0, 1, 2, -1])[numbers % 4])
    # QPs that rise all the time have their one local minimum at the start.
    np.testing.assert_array_equal(batch["peak"], numbers == 0)
    assert batch["peak"].dtype == bool and batch["frame_qp"].dtype == np.int32


class _Lossy(Numbered):
    """A pair whose frames are coded with errors of these code values."""

    errors = (1, 4, 2, 3, 1, 4, 4)

    def clip(self, side: str, color: str) -> np.ndarray:
        error = np.array(self.errors, np.uint8)[:, None, None] * np.uint8(side == "compressed")
        return self._raw % 200 + error


def test_peaks_may_be_those_of_the_ground_truth() -> None:
    pair = _Lossy("a", 7, 8, 8)
    config = DataConfig(frames=7, crop=8, batch=1)
    peaks = []
    for name in ("stream", "truth"):
        batch = BatchSource([pair], dataclasses.replace(config, peaks=name), seed=0)[0]
        peaks.append(np.flatnonzero(batch["peak"][0]).tolist())
    assert peaks == [[0], [0, 4]]  # frame 2 is worse than one within two frames
    with pytest.raises(UserError, match="peaks 'raw' is not 'stream' or 'truth'"):
        DataConfig(peaks="raw")


def test_duplicates_are_left_out_where_asked() -> None:
    pair = Numbered("a", 9, 8, 8, duplicates=(2, 3, 7))
    config = DataConfig(frames=4, crop=8, batch=64, drop_duplicates=True)
    numbers = BatchSource([pair], config, seed=0)[0]["frame_qp"]
    assert {tuple(n) for n in numbers} == {(0, 1, 4, 5), (1, 4, 5, 6), (4, 5, 6, 8)}
    first = BatchSource([pair], config, seed=0)[0]
    clip = pair.clip("raw", "luma")[numbers[0]]
    np.testing.assert_array_equal(np.rint(first["raw"][0, ..., 0] * 255), clip)
    with pytest.raises(UserError, match="have no crop of 7 frames"):
        BatchSource([pair], dataclasses.replace(config, frames=7), seed=0)


def _found(pair: Numbered, start: int, clip: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(pair.clip("raw", "luma"), clip.shape)
    return bool((windows[start] == clip).all(axis=(-3, -2, -1)).any())


class _AroundPeaks:
    """Two frames for each: the last peak, and itself."""

    def prepare(self, side: SideInfo) -> SideInfo:
        return side

    def indices(self, side: SideInfo, length: int) -> np.ndarray:
        peaks = np.flatnonzero(side.peak)
        frames = np.arange(length)
        last = [max(peaks[peaks <= t], default=t) for t in frames]
        return np.stack([last, frames], axis=-1)


def test_a_network_may_choose_the_frames_it_looks_at() -> None:
    pair = Numbered("a", 9, 8, 8, frame_qps=(30, 38, 38, 38, 31, 38, 38, 38, 31))
    config = DataConfig(frames=7, crop=8, batch=64, raw_window=True)
    batch = BatchSource([pair], config, seed=0, references=_AroundPeaks())[0]
    assert batch["compressed"].shape == (64, 2, 8, 8, 1) and batch["raw"].shape[1] == 1
    assert batch["raw_window"].shape == (64, 2, 8, 8, 1)
    assert batch["frame_qp"].shape == (64, 2) and batch["peak"][:, 0].all()
    raw = pair.clip("raw", "luma")
    seen = set()
    for i in range(64):
        (target,) = [t for t in range(9) if np.array_equal(_codes(batch["raw"][i, 0]), raw[t])]
        peak = target // 4 * 4
        np.testing.assert_array_equal(_codes(batch["raw_window"][i]), raw[[peak, target]])
        np.testing.assert_array_equal(_codes(batch["compressed"][i]) - 1, raw[[peak, target]])
        seen.add(target)
    assert seen == set(range(9))


def _codes(pictures: np.ndarray) -> np.ndarray:
    return np.rint(pictures[..., 0] * 255).astype(np.uint8)


def test_all_places_occur() -> None:
    batch = _source(batch=256, crop=16, frames=9)[0]
    corners = {tuple(c[0, 0, :2, 0]) for c in batch["raw"][batch["qp"] == 37]}
    assert len(corners) == 5  # 20 - 16 + 1 columns, one row, one start


def test_the_turns_that_the_device_may_draw() -> None:
    assert DataConfig().symmetries == tuple(range(8))
    assert DataConfig(rotations=False).symmetries == (0, 1, 2, 3)
    assert len(DataConfig(flips=False).symmetries) == 4
    assert DataConfig(flips=False, rotations=False).symmetries == (0,)


def test_pairs_are_drawn_by_the_places_they_offer() -> None:
    share = np.mean([(_source(batch=512)[n]["qp"] == 37).mean() for n in range(8)])
    first, second = 7 * 9 * 13, 10 * 17 * 9
    assert share == pytest.approx(first / (first + second), abs=0.03)


def test_backwards_only_when_asked() -> None:
    qps = _source(batch=64)[0]["frame_qp"]
    assert (np.diff(qps) == 1).all()
    mixed = np.diff(_source(batch=64, reverse=True)[0]["frame_qp"])
    assert {-1, 1} == set(mixed.ravel())


def test_a_batch_follows_from_seed_and_step_alone() -> None:
    one, other = _source(seed=5), _source(seed=5)
    later = one[7]
    _ = other[3]
    assert _same(later, other[7])
    assert not _same(later, one[8])
    assert not _same(later, _source(seed=6)[7])
    halves = [_source(seed=5, host=h, hosts=2)[7] for h in (0, 1)]
    joined = {k: np.concatenate([h[k] for h in halves]) for k in later}
    assert _same(joined, later)


def test_rgb_and_oblong_crops() -> None:
    batch = _source(color="rgb", crop=(6, 10), rotations=False)[0]
    assert batch["raw"].shape == (4, 3, 6, 10, 3)


def test_a_resumed_iterator_goes_on_as_if_it_had_not_stopped(data_dir: Path) -> None:
    config = DataConfig(data_dir=str(data_dir), frames=5, crop=32, batch=2)
    whole = batches(config, seed=1)
    expected = [next(whole) for _ in range(6)]
    stopped = batches(config, seed=1)
    _ = [next(stopped) for _ in range(3)]
    resumed = batches(config, seed=1)
    resumed.set_state(stopped.get_state())
    started = batches(config, seed=1, start=3)
    for batch in expected[3:]:
        assert _same(next(resumed), batch)
        assert _same(next(started), batch)
    pairs = open_pairs(data_dir, "clips", "train", "qp37")
    assert _same(BatchSource(pairs, config, seed=1)[5], expected[5])


def test_clips_that_are_too_short() -> None:
    with pytest.raises(UserError, match=r"1 of 2 clips have no crop .* such as Pair\('a'"):
        _source(frames=10)
    assert set(_source(frames=10, skip_short=True)[0]["qp"]) == {32}
    with pytest.raises(UserError, match="2 of 2"):
        _source(crop=64, skip_short=True)


def test_impossible_settings() -> None:
    with pytest.raises(UserError, match="rotations need square crops"):
        DataConfig(crop=(8, 16))
    with pytest.raises(UserError, match="not 'luma' or 'rgb'"):
        DataConfig(color="yuv")
    with pytest.raises(UserError, match="cannot be shared equally by 3 hosts"):
        _source(hosts=3)
    with pytest.raises(UserError, match="at least 1"):
        DataConfig(batch=0)


def test_encodings_are_refreshed_in_rounds(videos: Path, tmp_path: Path) -> None:
    options = {"source": str(videos), "val_fraction": 0.0, "frames": 3, "recipe": "mixed"}
    options |= {"encodings": 2, "workers": 1, "quiet": True}
    built = build("clips", tmp_path, rounds=2, **options)
    assert [b.config_name for b in built] == ["mixed", "mixed_r1"]
    recipes = [{p.info.recipe for p in b.pairs["train"]} for b in built]
    assert len(recipes[0] - recipes[1]) > 2
    raw = [{p.info.raw_sha256 for p in b.pairs["train"]} for b in built]
    assert raw[0] == raw[1]
    config = DataConfig(
        data_dir=str(tmp_path), config_name="mixed", frames=2, crop=32, batch=4, rounds=2, refresh=3
    )
    iterator = batches(config, seed=0)
    names = [{p.name for p in b.pairs["train"]} for b in built]
    for step in range(12):
        assert set(next(iterator)["name"]) <= names[step // 3 % 2]
    expected = next(batches(config, seed=0, start=4))
    assert _same(BatchSource(built[1].pairs["train"], config, seed=0)[4], expected)
    later = batches(dataclasses.replace(config, rounds=3), seed=0, start=6)
    with pytest.raises(Exception, match=r"no data set clips/mixed_r2.*--rounds 3"):
        next(later)
