"""Training batches."""

from pathlib import Path

import numpy as np
import pytest

from vqe_jax.data import DataConfig, Pair, batches, open_pairs
from vqe_jax.data.pipeline import BatchSource, to_float
from vqe_jax.data.record import PairInfo
from vqe_jax.data.symmetry import SYMMETRIES, apply_symmetry
from vqe_jax.errors import UserError


class Numbered(Pair):
    """A pair each of whose samples is unlike any other's nearby; compressed is raw + 1."""

    def __init__(self, name: str, frames: int, height: int, width: int, qp: int = 37) -> None:
        values = dict.fromkeys(PairInfo.__annotations__, "")
        values.update(name=name, qp=qp, width=width, height=height, frames=frames)
        values.update(frame_qps=tuple(range(frames)), frame_rate="25", psnr_y=0.0)
        values.update(raw_bytes=0, compressed_bytes=0)
        super().__init__(PairInfo(**values), Path(), Path())
        t, y, x = np.indices((frames, height, width))
        self._raw = ((x + 16 * y + 64 * t) % 251).astype(np.uint8)

    def luma(self, which: str) -> np.ndarray:
        return self._raw + np.uint8(which == "compressed")

    def rgb(self, which: str) -> np.ndarray:
        return np.stack([self.luma(which)] * 3, axis=-1)


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
    codes = np.arange(256, dtype=np.uint8)
    exact = (codes.astype(np.float64) / 255).astype(np.float32)
    np.testing.assert_array_equal(to_float(codes), exact)


def test_every_crop_is_a_turned_piece_of_its_clip() -> None:
    source = _source(batch=8, frame_qps=True)
    for step in range(4):
        batch = source[step]
        for i in range(8):
            pair = PAIRS[0] if batch["qp"][i] == 37 else PAIRS[1]
            start = batch["frame_qps"][i, 0]
            clip = np.rint(batch["raw"][i, ..., 0] * 255).astype(np.uint8)
            assert any(_found(pair, start, apply_symmetry(clip, s)) for s in SYMMETRIES)


def _found(pair: Numbered, start: int, clip: np.ndarray) -> bool:
    windows = np.lib.stride_tricks.sliding_window_view(pair.luma("raw"), clip.shape)
    return bool((windows[start] == clip).all(axis=(-3, -2, -1)).any())


def test_all_turns_and_all_places_occur() -> None:
    gentle = _source(batch=256, crop=16, frames=9, flips=False, rotations=False)
    corners = {tuple(c[0, 0, :2, 0]) for c in gentle[0]["raw"][gentle[0]["qp"] == 37]}
    assert len(corners) == 5  # 20 - 16 + 1 columns, one row, one start
    turned = _source(batch=256, crop=16, frames=9)[0]
    kinds = {tuple(np.ravel(c[0, [0, 0, 15], [0, 15, 0], 0])) for c in turned["raw"]}
    assert len(kinds) > 4 * len(corners)


def test_pairs_are_drawn_by_the_places_they_offer() -> None:
    share = np.mean([(_source(batch=512)[n]["qp"] == 37).mean() for n in range(8)])
    first, second = 7 * 9 * 13, 10 * 17 * 9
    assert share == pytest.approx(first / (first + second), abs=0.03)


def test_rotations_alone_never_mirror() -> None:
    source = _source(batch=64, flips=False)
    clips = np.rint(source[0]["raw"][..., 0] * 255).astype(np.uint8)
    for clip, qp in zip(clips, source[0]["qp"], strict=True):
        pair = PAIRS[0] if qp == 37 else PAIRS[1]
        starts = range(len(pair) - 2)
        assert any(_found(pair, t, np.rot90(clip, k, (1, 2))) for k in range(4) for t in starts)


def test_backwards_only_when_asked() -> None:
    qps = _source(batch=64, frame_qps=True)[0]["frame_qps"]
    assert (np.diff(qps) == 1).all()
    mixed = np.diff(_source(batch=64, frame_qps=True, reverse=True)[0]["frame_qps"])
    assert {-1, 1} == set(mixed.ravel())


def test_a_batch_follows_from_seed_step_and_host_alone() -> None:
    one, other = _source(seed=5), _source(seed=5)
    later = one[7]
    _ = other[3]
    assert _same(later, other[7])
    assert not _same(later, one[8])
    assert not _same(later, _source(seed=6)[7])
    halves = [_source(seed=5, host=h, hosts=2)[7] for h in (0, 1)]
    assert [h["qp"].shape for h in halves] == [(2,), (2,)]
    assert not _same(*halves)


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
