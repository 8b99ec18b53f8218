"""Reduction of every layout to 8-bit 4:2:0."""

import numpy as np
import pytest

from vqe_jax.data.yuv420 import YUV420P8, as_yuv420p8, yuv420p8_info
from vqe_jax.errors import UserError
from vqe_jax.video import ColorTags, Frame, PixelFormat, VideoInfo, to_rgb


def _frame(bits: int, subsampling: str, width: int = 7, height: int = 5) -> Frame:
    layout = PixelFormat(bits, subsampling)
    rng = np.random.default_rng(bits)
    shapes = layout.plane_shapes(width, height)
    planes = tuple(rng.integers(0, layout.maximum + 1, s).astype(layout.dtype) for s in shapes)
    return Frame(planes, layout)


def test_what_fits_is_untouched() -> None:
    frame = _frame(8, "420", 6, 4)
    reduced = as_yuv420p8(frame, VideoInfo(6, 4))
    assert all(np.array_equal(a, b) for a, b in zip(frame.planes, reduced.planes, strict=True))


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("subsampling", ["420", "422", "444", "440", "gray"])
def test_rounding_and_averaging(bits: int, subsampling: str) -> None:
    frame = _frame(bits, subsampling)
    y, u, v = as_yuv420p8(frame, VideoInfo(7, 5, frame.pixel_format)).planes
    assert (y.shape, u.shape, v.shape) == ((4, 6), (2, 3), (2, 3))
    exact = np.minimum(np.floor(frame.planes[0][:4, :6] / 2.0 ** (bits - 8) + 0.5), 255)
    np.testing.assert_array_equal(y, exact)
    if subsampling == "gray":
        assert np.all(u == 128)
    elif subsampling == "444":
        whole = np.minimum(np.floor(frame.planes[2][:4, :6] / 2.0 ** (bits - 8) + 0.5), 255)
        means = whole.reshape(2, 2, 3, 2).mean(axis=(1, 3))
        assert np.abs(v - means).max() <= 0.5


def test_rgb_goes_through_the_matrix() -> None:
    planes = tuple(np.full((4, 4), value, np.uint8) for value in (200, 40, 90))
    frame = Frame(planes, PixelFormat(8, "rgb"))
    info = VideoInfo(4, 4, frame.pixel_format, ColorTags(matrix=0, range=2))
    target = yuv420p8_info(info)
    assert (target.color.matrix, target.color.range) == (6, 1)  # BT.601 for few lines
    reduced = as_yuv420p8(frame, info)
    back = to_rgb(reduced, target)
    assert reduced.pixel_format == YUV420P8
    np.testing.assert_allclose(back[0, 0] * 255, (200, 40, 90), atol=2)


def test_coarser_chroma_is_refused() -> None:
    frame = _frame(8, "411", 8, 4)
    with pytest.raises(UserError, match="411"):
        as_yuv420p8(frame, VideoInfo(8, 4, frame.pixel_format))
