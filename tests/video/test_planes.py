import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.video.clips import info_of, noise, same
from vqe_jax.errors import UserError
from vqe_jax.video.planes import from_av_frame, planar_name, to_av_frame


@given(
    st.integers(8, 16),
    st.sampled_from(["420", "422", "444", "gray", "rgb"]),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_planes_survive_the_way_through_a_frame(bits, subsampling, width, height):
    try:
        av.VideoFrame(16, 16, info_of(bits, subsampling).pixel_format.av_name)
    except ValueError:
        return  # FFmpeg has no such depth
    frames = noise(info_of(bits, subsampling, width, height), 1)
    assert same(frames, [from_av_frame(to_av_frame(frames[0]))])


@pytest.mark.parametrize("name", ["nv12", "rgb24", "bgra", "rgb48be", "p010le", "yuyv422"])
def test_packed_layouts_are_rearranged_without_loss(name):
    planar = from_av_frame(av.VideoFrame(32, 16, planar_name(name))).pixel_format
    source = noise(info_of(planar.bits, planar.subsampling, 32, 16), 1)
    packed = to_av_frame(source[0]).reformat(format=name)
    assert same(source, [from_av_frame(packed)])


def test_planes_of_rgb_are_in_that_order():
    picture = av.VideoFrame.from_ndarray(np.full((4, 4, 3), (10, 20, 30), np.uint8), "rgb24")
    assert [int(p[0, 0]) for p in from_av_frame(picture).planes] == [10, 20, 30]


def test_planes_that_do_not_fit_their_format():
    frame = noise(info_of(), 1)[0]
    frame.planes = frame.planes[:1]
    with pytest.raises(UserError, match="no yuv420p picture"):
        to_av_frame(frame)
