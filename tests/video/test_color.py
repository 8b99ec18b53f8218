import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import color as reference

from tests.video.clips import info_of, noise, same
from vqe_jax.errors import UserError
from vqe_jax.video import ColorTags, Frame, from_rgb, luma, to_rgb, with_luma

LAYOUTS = ["420", "422", "444", "gray", "rgb"]
MATRICES = [1, 5, 6, 9]

# 8-bit limited-range codes of full red, green and blue, as the standards' color bars have them.
PRIMARIES = {
    6: [(81, 90, 240), (145, 54, 34), (41, 240, 110)],
    1: [(63, 102, 240), (173, 42, 26), (32, 240, 118)],
    9: [(74, 97, 240), (164, 47, 25), (29, 240, 119)],
}


@pytest.mark.parametrize("matrix", PRIMARIES)
def test_primaries_have_the_codes_of_the_standards(matrix):
    info = info_of(8, "444", 3, 1, color=ColorTags(matrix, 1))
    found = from_rgb(np.eye(3, dtype=np.float32)[None], info)
    codes = np.stack(found.planes, -1)[0]
    assert np.array_equal(codes, PRIMARIES[matrix])
    assert np.allclose(to_rgb(found, info)[0], np.eye(3), atol=0.012)


def test_bt601_agrees_with_scikit_image():
    rgb = np.random.default_rng(0).random((9, 7, 3))
    codes = np.stack(from_rgb(rgb, info_of(16, "444", 7, 9)).planes, -1) / 256
    assert np.abs(codes - reference.rgb2ycbcr(rgb)).max() < 0.01


@pytest.mark.parametrize(
    ("bits", "black", "white", "gray"), [(8, 16, 235, 128), (10, 64, 940, 512)]
)
def test_range(bits, black, white, gray):
    limited = info_of(bits, "420", 2, 2, color=ColorTags(1, 1))
    full = info_of(bits, "420", 2, 2, color=ColorTags(1, 2))
    for value, low, high in ((0.0, black, 0), (1.0, white, 2**bits - 1)):
        rgb = np.full((2, 2, 3), value, np.float32)
        for info, code in ((limited, low), (full, high)):
            y, u, v = from_rgb(rgb, info).planes
            assert (y == code).all() and (u == gray).all() and (v == gray).all()
            assert np.allclose(to_rgb(from_rgb(rgb, info), info), value, atol=1e-6)


@given(
    st.tuples(st.sampled_from([8, 10, 12, 16]), st.sampled_from(LAYOUTS)),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.sampled_from([1, 2, 5, 6, 9]), st.integers(0, 2)),
    st.sampled_from(["left", "center", "topleft", "unspecified"]),
    st.integers(0, 99),
)
def test_what_did_not_change_stays_to_the_last_bit(layout, size, tags, siting, seed):
    info = info_of(*layout, *size, color=ColorTags(*tags, siting=siting))
    frame = noise(info, 1, seed)[0]
    frame.pts = 7
    again = from_rgb(to_rgb(frame, info), info, like=frame)
    assert same([again], [frame]) and again.pts == 7
    assert same([with_luma(frame, luma(frame, info))], [frame])


@given(st.sampled_from(MATRICES), st.integers(1, 2), st.sampled_from([8, 10]), st.integers(0, 99))
def test_rgb_to_yuv_and_back(matrix, range_, bits, seed):
    info = info_of(bits, "444", 6, 5, color=ColorTags(matrix, range_))
    rgb = np.random.default_rng(seed).random((5, 6, 3)).astype(np.float32)
    again = to_rgb(from_rgb(rgb, info), info)
    # Half a code in Y and in the chroma of the largest weight, 2 (1 - K_B) < 1.89.
    steps = 219 if range_ == 1 else 255
    assert np.abs(again - rgb).max() < (0.5 + 0.5 * 1.89) / (steps * 2 ** (bits - 8))


@given(st.sampled_from(["420", "422", "444"]), st.sampled_from(["left", "center", "topleft"]))
def test_soft_chroma_survives_the_round_trip(layout, siting):
    info = info_of(8, layout, 32, 32, color=ColorTags(6, 1, siting=siting))
    y, x = np.mgrid[:32, :32]
    rgb = np.stack([0.5 + 0.2 * np.sin(x / 6), 0.5 + 0.2 * np.cos(y / 7), x * 0 + 0.5], -1)
    frame = from_rgb(rgb, info)
    again = from_rgb(to_rgb(frame, info), info)
    for a, b in zip(frame.planes, again.planes, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 2


def test_a_change_in_rgb_arrives():
    info = info_of(10, "420", 16, 16, color=ColorTags(1, 1))
    frame = Frame(tuple(np.full(s, 512, np.uint16) for s in info.plane_shapes), info.pixel_format)
    brighter = to_rgb(frame, info) + np.float32(0.1) * np.array([1, 0, 0], np.float32)
    found = to_rgb(from_rgb(brighter, info, like=frame), info)
    assert np.abs(found - brighter).max() < 0.003


def test_luma_is_code_over_largest_code_and_leaves_chroma_alone():
    info = info_of(10, "420", 4, 4)
    frame = noise(info, 1)[0]
    y = luma(frame, info)
    assert y.dtype == np.float32 and np.allclose(y * 1023, frame.planes[0], atol=1e-3)
    changed = with_luma(frame, np.full((4, 4), 0.7004, np.float32))
    assert (changed.planes[0] == 717).all()  # 716.5 and a bit
    assert changed.planes[1] is frame.planes[1] and changed.planes[2] is frame.planes[2]
    clipped = with_luma(frame, np.full((4, 4), 1.5, np.float32))
    assert (clipped.planes[0] == 1023).all()


def test_luma_of_rgb_moves_all_three():
    info = info_of(8, "rgb", 1, 1)
    frame = Frame(tuple(np.full((1, 1), v, np.uint8) for v in (100, 50, 20)), info.pixel_format)
    y = luma(frame, info)
    assert np.allclose(y * 255, 0.2126 * 100 + 0.7152 * 50 + 0.0722 * 20, atol=1e-3)
    moved = with_luma(frame, y + np.float32(10 / 255))
    assert [int(p[0, 0]) for p in moved.planes] == [110, 60, 30]


def test_a_matrix_that_is_not_linear_is_refused():
    info = info_of(8, "444", 2, 2, color=ColorTags(matrix=14))
    with pytest.raises(UserError, match="color matrix 14"):
        to_rgb(noise(info, 1)[0], info)


def test_a_frame_of_another_format():
    frame = noise(info_of(10), 1)[0]
    with pytest.raises(UserError, match="a frame of yuv420p10le in a video of yuv420p"):
        luma(frame, info_of())
    with pytest.raises(UserError, match="yuv420p10le"):
        to_rgb(dataclasses.replace(frame), info_of())
