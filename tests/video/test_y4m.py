from fractions import Fraction

import av
import numpy as np
import pytest

from tests.video.clips import info_of, noise, same, write
from vqe_jax.errors import UserError
from vqe_jax.video import ColorTags, open_reader, read_frames


@pytest.mark.parametrize(
    ("bits", "subsampling"), [(8, "420"), (10, "420"), (8, "422"), (12, "444"), (8, "gray")]
)
def test_round_trip(tmp_path, bits, subsampling):
    color = ColorTags(range=2, siting="center" if bits == 8 and subsampling == "420" else "left")
    rate = Fraction(30000, 1001)
    info = info_of(
        bits, subsampling, 10, 6, color=color, frame_rate=rate, sample_aspect_ratio=Fraction(4, 3)
    )
    frames = noise(info, 4)
    path = write(tmp_path / "a.y4m", info, frames)
    reader = open_reader(path)
    assert reader.info.pixel_format == info.pixel_format
    assert reader.info.frame_rate == rate and reader.info.sample_aspect_ratio == Fraction(4, 3)
    assert reader.info.color.range == 2
    if subsampling == "420" and bits == 8:
        assert reader.info.color.siting == "center"
    assert same(list(reader), frames)
    assert [f.pts * f.time_base for f in reader] == [n / rate for n in range(4)]
    assert same(read_frames(path, 2, 1), frames[2:3])


def test_ffmpeg_reads_what_is_written(tmp_path):
    info = info_of(8, "422", 32, 16)
    frames = noise(info, 2)
    with av.open(str(write(tmp_path / "a.y4m", info, frames))) as container:
        pictures = [f.to_ndarray() for f in container.decode(video=0)]
    assert np.array_equal(pictures[1][:16], frames[1].planes[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF....", "does not begin with YUV4MPEG2"),
        (b"YUV4MPEG2 W4\n", "header is damaged"),
        (b"YUV4MPEG2 W4 H4 C410\n", "C410 is not supported"),
        (b"", "is empty"),
    ],
)
def test_bad_headers(tmp_path, data, message):
    path = tmp_path / "a.y4m"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        open_reader(path)


def test_cut_short_and_damaged(tmp_path):
    info = info_of(8, "420", 8, 8)
    path = write(tmp_path / "a.y4m", info, noise(info, 2))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(UserError, match="ends within a frame"):
        list(open_reader(path))
    path.write_bytes(whole[: -8 * 12])
    with pytest.raises(UserError, match="ends within frame 1"):
        list(open_reader(path))
    path.write_bytes(whole.replace(b"FRAME", b"GRAME"))
    with pytest.raises(UserError, match="frame 0 does not begin with FRAME"):
        list(open_reader(path))


def test_rgb_has_no_place_in_it(tmp_path):
    info = info_of(8, "rgb", 8, 8)
    with pytest.raises(UserError, match="not RGB"):
        write(tmp_path / "a.y4m", info, noise(info, 1))
    assert not list(tmp_path.iterdir())
