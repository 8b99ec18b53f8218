"""Variants of clips before encoding."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.conftest import make_frames
from vqe_jax.data.variants import (
    AugmentOptions,
    Variant,
    draw_variant,
    resize_plane,
    vary,
    vary_info,
)
from vqe_jax.symmetry import apply_symmetry
from vqe_jax.video import VideoInfo

INFO = VideoInfo(96, 80, frame_rate=Fraction(24))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 400), st.integers(10, 500), st.integers(10, 500))
def test_drawn_variants_can_be_made(seed: int, frames: int, width: int, height: int) -> None:
    info = VideoInfo(2 * width, 2 * height)
    options = AugmentOptions()
    drawn = draw_variant(np.random.default_rng(seed), options, info, frames)
    assert drawn == draw_variant(np.random.default_rng(seed), options, info, frames)
    assert drawn.count is not None
    assert 1 <= drawn.count <= options.max_frames
    assert drawn.start + (drawn.count - 1) * drawn.step < frames
    across, down = drawn.size or (info.width, info.height)
    x, y, w, h = drawn.crop or (0, 0, across, down)
    assert all(v % 2 == 0 for v in (across, down, x, y, w, h))
    assert x + w <= across <= info.width
    assert y + h <= down <= info.height
    assert w >= min(160, info.width) and h >= min(160, info.height)


def test_frames_are_chosen_cut_and_turned(tmp_path: Path) -> None:
    frames = make_frames(9, 0)
    variant = Variant(start=1, step=3, crop=(4, 8, 40, 30), symmetry=5)
    made = list(vary(frames, variant, tmp_path / "spool"))
    assert len(made) == 3
    info = vary_info(INFO, variant)
    assert (info.width, info.height, info.frame_rate) == (30, 40, Fraction(8))
    for index, frame in enumerate(made):
        y, u, _ = frames[1 + 3 * index].planes
        np.testing.assert_array_equal(frame.planes[0], apply_symmetry(y[8:38, 4:44], 5))
        np.testing.assert_array_equal(frame.planes[1], apply_symmetry(u[4:19, 2:22], 5))


def test_backwards_is_the_reverse_and_leaves_no_file(tmp_path: Path) -> None:
    frames = make_frames(5, 1)
    spool = tmp_path / "spool"
    forward = list(vary(frames, Variant(count=4), spool))
    backward = list(vary(frames, Variant(count=4, reverse=True), spool))
    assert len(backward) == 4
    for a, b in zip(forward, reversed(backward), strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))
    assert not spool.exists()


def test_scaling_is_free_of_aliases() -> None:
    columns = np.tile(np.array([0, 255], np.uint8), (32, 16))  # the finest pattern there is
    assert np.ptp(resize_plane(columns, 16, 12)[:, 2:-2].astype(int)) < 45
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (8, 1))
    half = resize_plane(ramp, 8, 32)
    centers = (ramp[0, ::2].astype(float) + ramp[0, 1::2]) / 2
    assert np.abs(half[0, 3:-3] - centers[3:-3]).max() <= 1
    np.testing.assert_array_equal(resize_plane(ramp, 8, 64), ramp)
