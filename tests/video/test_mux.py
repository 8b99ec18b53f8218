import os
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.video.clips import (
    drifting,
    info_of,
    lossless,
    noise,
    packets,
    same,
    times,
    with_sound,
    write,
)
from vqe_jax.video import ColorTags, open_reader, open_writer
from vqe_jax.video.hdr import HDRMetadata

FORMATS = [
    (bits, layout) for bits in (8, 10) for layout in ("420", "422", "444", "gray", "rgb")
] + [(16, "rgb"), (16, "gray"), (12, "420")]


@pytest.mark.parametrize(("bits", "layout"), FORMATS)
def test_lossless_round_trip(tmp_path, bits, layout):
    info = info_of(bits, layout)
    frames = noise(info, 3)
    reader = open_reader(lossless(tmp_path / "a.mkv", info, frames))
    assert reader.info.pixel_format == info.pixel_format
    assert same(list(reader), frames)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize(("bits", "layout"), [(8, "420"), (10, "420"), (10, "422"), (8, "444")])
def test_lossless_x264_and_x265(tmp_path, codec, bits, layout):
    if codec == "libx264":
        options = {"qp": "0"} if bits == 8 else {"crf": "0"}
    else:
        options = {"x265-params": "lossless=1"}
    info = info_of(bits, layout)
    frames = noise(info, 2)
    path = write(tmp_path / "a.mkv", info, frames, codec=codec, options=options)
    reader = open_reader(path)
    assert reader.info.pixel_format == info.pixel_format
    if codec == "libx265" or bits == 8:
        assert same(list(reader), frames)


TAGS = [
    ColorTags(1, 1, 1, 1, "left"),
    ColorTags(9, 1, 9, 16, "topleft"),
    ColorTags(5, 2, 5, 6, "center"),
]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".hevc"])
@pytest.mark.parametrize("color", TAGS)
def test_color_tags_and_shape_of_the_samples(tmp_path, suffix, color):
    info = info_of(10, color=color, sample_aspect_ratio=Fraction(4, 3))
    found = open_reader(write(tmp_path / f"a{suffix}", info, drifting(info, 2))).info
    assert found.color == color
    assert found.pixel_format == info.pixel_format
    if suffix != ".hevc":
        assert found.sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize("codec", ["libx264", "libx265", "ffv1"])
def test_uneven_time_stamps_are_exact(tmp_path, codec):
    stamps = [0, 3003, 3004, 9000, 15015, 90000, 90001, 180180]
    info = info_of(time_base=Fraction(1, 90000))
    frames = drifting(info, len(stamps))
    for frame, pts in zip(frames, stamps, strict=True):
        frame.pts, frame.time_base = pts, info.time_base
    suffix = ".nut" if codec == "ffv1" else ".mp4"
    path = write(tmp_path / f"a{suffix}", info, frames, codec=codec)
    assert times(path) == [Fraction(pts, 90000) for pts in stamps]


def test_hdr_metadata(tmp_path):
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    hdr = HDRMetadata(display, (1000, 400))
    info = info_of(10, color=ColorTags(9, 1, 9, 16, "topleft"), hdr=hdr)
    path = write(tmp_path / "a.mkv", info, drifting(info, 2))
    assert open_reader(path).info.hdr == hdr
    again = write(tmp_path / "b.mp4", open_reader(path).info, open_reader(path))
    assert open_reader(again).info.hdr == hdr
    with pytest.warns(UserWarning, match="ffv1 does not take the HDR metadata"):
        lossless(tmp_path / "c.mkv", info, drifting(info, 1))


def test_a_rate_without_stamps(tmp_path):
    rate = Fraction(30000, 1001)
    info = info_of(frame_rate=rate, time_base=None)
    path = write(tmp_path / "a.mp4", info, drifting(info, 4))
    assert times(path) == [n / rate for n in range(4)]


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_clips(tmp_path, codec, count):
    info = info_of()
    path = write(tmp_path / "a.mkv", info, drifting(info, count), codec=codec)
    assert times(path) == [Fraction(n, 25) for n in range(count)]


@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="threads are listed on Linux alone"
)
def test_an_encoder_leaves_priorities_alone(tmp_path):
    """SVT-AV1 makes its threads and the calling one real-time where it may, as root may."""

    def policies():
        return {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}

    before, info = policies(), info_of()
    with open_writer(tmp_path / "a.mkv", info, codec="libsvtav1") as writer:
        for frame in drifting(info, 3):
            writer.write(frame)
            assert policies() == before
    assert policies() == before


def test_a_stamp_that_goes_back_is_mended_and_said(tmp_path):
    info = info_of()
    frames = drifting(info, 3)
    for frame, pts in zip(frames, (0, 40, 40), strict=True):
        frame.pts, frame.time_base = pts, info.time_base
    with pytest.warns(UserWarning, match="1 frames did not come after"):
        path = write(tmp_path / "a.mkv", info, frames)
    assert times(path) == [0, Fraction(40, 1000), Fraction(41, 1000)]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_everything_else_in_the_file_comes_along(tmp_path, suffix):
    source = with_sound(tmp_path / f"a{suffix}", subtitles=suffix == ".mkv")
    reader = open_reader(source)
    path = write(tmp_path / f"b{suffix}", reader.info, reader, copy_from=source)
    assert packets(path, "audio") == packets(source, "audio")
    assert times(path) == times(source)
    assert open_reader(path).info.rotation == 90
    with av.open(str(path)) as found, av.open(str(source)) as wanted:
        assert found.metadata["title"] == "A clip"
        assert found.chapters()[0]["metadata"] == {"title": "One"}
        assert found.chapters()[0]["end"] * found.chapters()[0]["time_base"] == Fraction(1, 5)
        assert [s.type for s in found.streams] == [s.type for s in wanted.streams]
        assert found.streams.audio[0].language == "deu"
        assert found.streams.audio[0].disposition == wanted.streams.audio[0].disposition
    if suffix == ".mkv":
        assert packets(path, "subtitle") == packets(source, "subtitle")


def test_a_beginning_of_a_stream_that_does_not_start_at_zero(tmp_path):
    source = with_sound(tmp_path / "a.ts", subtitles=False)
    reader = open_reader(source)
    first = times(source)[0]
    wanted = packets(source, "audio")
    assert first > 0
    path = write(tmp_path / "b.mkv", reader.info, reader, copy_from=source, copy_seconds=0.2)
    found = packets(path, "audio")
    assert 0 < len(found) < len(wanted)
    shift = wanted[0][0] - found[0][0]  # the file starts at 0, and nothing moves within it
    assert min(times(path)[0], found[0][0]) < 0.001 and shift >= 0
    assert abs(times(path)[0] - first + shift) < 0.001  # Matroska counts in milliseconds
    assert all(abs(f[0] - w[0] + shift) < 0.001 for f, w in zip(found, wanted, strict=False))
    kept = write(tmp_path / "b.ts", reader.info, reader, copy_from=source)
    assert abs(times(kept)[0] - first) < 1.5  # the muxer's own delay


def test_what_the_container_cannot_hold_is_named(tmp_path):
    source = with_sound(tmp_path / "a.mkv")
    reader = open_reader(source)
    with pytest.warns(UserWarning) as said:
        path = write(tmp_path / "b.ts", reader.info, reader, copy_from=source)
    assert [str(w.message) for w in said] == [
        "stream 2 (subtitle, srt) is left out: mpegts cannot hold it",
        "tags that mpegts cannot hold are left out: title",
    ]
    assert len(packets(path, "audio")) == len(packets(source, "audio"))


def test_attachments_come_along(tmp_path):
    info = info_of()
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        out.add_attachment("font.ttf", "font/ttf", b"letters")
        out.mux(video.encode(av.VideoFrame(64, 48, "yuv420p")) + video.encode(None))
    path = write(tmp_path / "b.mkv", info, drifting(info, 2), copy_from=source)
    with av.open(str(path)) as found:
        attachment = next(s for s in found.streams if s.type == "attachment")
        assert (attachment.name, attachment.data) == ("font.ttf", b"letters")
