from pathlib import Path

import pytest

from tests.video.clips import info_of, noise, same, write
from vqe_jax.errors import UserError
from vqe_jax.video import PixelFormat, open_reader, read_frames
from vqe_jax.video.raw import size_from_name


@pytest.mark.parametrize(
    ("name", "bits", "subsampling"),
    [
        ("a_22x14_5.yuv", 8, "420"),
        ("a_22x14_5_10bit.yuv", 10, "420"),
        ("a_22x14_yuv422p10le.yuv", 10, "422"),
        ("a_22x14_444.yuv", 8, "444"),
        ("a_22x14_400_12bit.yuv", 12, "gray"),
    ],
)
def test_round_trip_with_size_and_format_from_the_name(tmp_path, name, bits, subsampling):
    info = info_of(bits, subsampling, 22, 14)
    frames = noise(info, 5)
    path = write(tmp_path / name, info, frames)
    reader = open_reader(path)
    assert (reader.info.width, reader.info.height, reader.info.frames) == (22, 14, 5)
    assert reader.info.pixel_format == info.pixel_format
    assert same(list(reader), frames) and same(list(reader), frames)  # twice
    assert same(read_frames(path, 3, 1), frames[3:4])


def test_the_layout_is_the_one_of_the_field(tmp_path):
    info = info_of(10, "420", 4, 2)
    frame = noise(info, 1)[0]
    path = write(tmp_path / "a_4x2_1.yuv", info, [frame])
    data = path.read_bytes()
    assert len(data) == 2 * (8 + 2 + 2)
    assert int.from_bytes(data[2:4], "little") == frame.planes[0][0, 1]
    assert int.from_bytes(data[16:18], "little") == frame.planes[1][0, 0]


def test_given_size_and_format_win_over_the_name(tmp_path):
    info = info_of(8, "444", 6, 4)
    frames = noise(info, 2)
    path = write(tmp_path / "a_22x14_5.yuv", info, frames)
    got = read_frames(path, size=(6, 4), pixel_format=PixelFormat(8, "444"))
    assert same(got, frames)


def test_names_of_test_sequences():
    assert size_from_name(Path("Traffic_2560x1600_crop_30.yuv")) == (2560, 1600)
    assert size_from_name(Path("clip.yuv")) is None


def test_wrong_size_and_unknown_size(tmp_path):
    path = tmp_path / "a_22x14_5.yuv"
    path.write_bytes(bytes(1000))
    with pytest.raises(UserError, match=r"1000 bytes are not a whole number of 22x14"):
        open_reader(path)
    nameless = tmp_path / "a.yuv"
    nameless.write_bytes(bytes(1000))
    with pytest.raises(UserError, match=r"NAME_WxH_N\.yuv"):
        open_reader(nameless)


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    info = info_of(8, "420", 8, 8)
    path = write(tmp_path / "a_8x8_2.yuv", info, noise(info, 2))
    reader = open_reader(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="ends within a frame"):
        list(reader)
