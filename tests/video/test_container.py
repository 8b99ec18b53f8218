from fractions import Fraction

import av
import numpy as np
import pytest

from tests.video.clips import (
    drifting,
    info_of,
    lossless,
    noise,
    same,
    times,
    with_sound,
    write,
)
from vqe_jax.errors import UserError
from vqe_jax.video import ColorTags, encode_hevc, low_delay_p, open_reader, read_frames
from vqe_jax.video.truncation import bytes_missing


def test_what_a_file_says_about_itself(tmp_path):
    path = with_sound(tmp_path / "a.mkv")
    info = open_reader(path).info
    assert (info.width, info.height, info.codec) == (64, 48, "h264")
    assert info.color == ColorTags(1, 1, 1, 1, "unspecified")
    assert info.rotation == 90 and info.display_matrix is not None
    assert info.time_base == Fraction(1, 1000)


def test_frames_come_in_display_order_with_their_times(tmp_path):
    path = with_sound(tmp_path / "a.mkv")
    frames = list(open_reader(path))
    assert [f.pts * f.time_base for f in frames] == times(path) == sorted(times(path))
    assert frames[0].pict_type == "I" and "B" in {f.pict_type for f in frames}
    assert same(read_frames(path, 3, 2), frames[3:5])


def test_frames_of_a_bitstream_are_counted(tmp_path):
    info = info_of()
    encode_hevc(drifting(info, 7), tmp_path / "a.hevc", info, low_delay_p(37))
    assert open_reader(tmp_path / "a.hevc").info.frames == 7


@pytest.mark.parametrize("siting", ["center", "topleft"])
def test_siting_is_read_from_the_bitstream(tmp_path, siting):
    info = info_of(color=ColorTags(siting=siting))
    path = write(tmp_path / "a.mkv", info, drifting(info, 2))
    assert open_reader(path).info.color.siting == siting


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_containers_that_were_cut_short(tmp_path, suffix):
    info = info_of(time_base=Fraction(1, 25))
    path = write(tmp_path / f"a{suffix}", info, drifting(info, 10), codec="libx264")
    assert bytes_missing(path) == 0
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert bytes_missing(path) > 0
    with pytest.raises(UserError, match="cut short"):
        open_reader(path)
    if suffix == ".mkv":
        with pytest.warns(UserWarning, match="decoder complains 1 times.*File ended prematurely"):
            assert len(list(open_reader(path, keep_damaged=True))) >= 9


def test_a_bitstream_that_was_cut_short(tmp_path):
    info = info_of()
    path = tmp_path / "a.hevc"
    encode_hevc(drifting(info, 8), path, info, low_delay_p(22))
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b"\0\0\1") + 6])  # within the last slice's header
    with pytest.raises(UserError, match="keep-damaged"):
        list(open_reader(path))
    with (
        pytest.warns(
            UserWarning, match=r"the decoder complains 1 times, first at frame \d or later"
        ),
        pytest.warns(UserWarning, match="1 of 8 frames could not be decoded"),
    ):
        assert len(list(open_reader(path, keep_damaged=True))) == 7


def test_no_video_in_it(tmp_path):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        out.mux(stream.encode(frame))
    with pytest.raises(UserError, match="no video, only audio"):
        open_reader(path)


@pytest.mark.parametrize(
    ("data", "message"), [(b"", "is empty"), (b"text, not video" * 50, "cannot be read")]
)
def test_not_a_video(tmp_path, data, message):
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        open_reader(path)


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        open_reader(tmp_path / "a.mp4")


def test_a_picture_that_changes_its_size(tmp_path):
    both = b""
    for width in (64, 96):
        info = info_of(width=width)
        part = tmp_path / f"{width}.hevc"
        encode_hevc(drifting(info, 2), part, info, low_delay_p(30))
        both += part.read_bytes()
    path = tmp_path / "a.hevc"
    path.write_bytes(both)
    with pytest.raises(UserError, match="changes from 64x48 to 96x48 at frame 2"):
        list(open_reader(path))
    with pytest.raises(UserError, match="changes from 64x48 to 96x48"):
        open_reader(path).concerns()
    with pytest.warns(UserWarning, match="96x48 at frame 2; what follows is left out"):
        assert len(list(open_reader(path, keep_damaged=True))) == 2


def test_odd_sizes(tmp_path):
    info = info_of(8, "420", 13, 7)
    frames = noise(info, 2)
    assert same(list(open_reader(lossless(tmp_path / "a.mkv", info, frames))), frames)


def test_a_cover_picture_is_not_the_video(tmp_path):
    info = info_of(8, "rgb", 8, 8)
    cover = write(tmp_path / "cover", info, noise(info, 1)) / "00000000.png"
    path = tmp_path / "a.mp4"
    with av.open(str(cover)) as picture, av.open(str(path), "w") as out:
        still = out.add_stream_from_template(picture.streams.video[0])
        still.disposition = av.stream.Disposition.attached_pic
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for packet in video.encode(av.VideoFrame(64, 48, "yuv420p")) + video.encode(None):
            out.mux(packet)
        for packet in picture.demux():
            if packet.size:
                packet.stream = still
                out.mux(packet)
    assert open_reader(path).info.codec == "h264"
