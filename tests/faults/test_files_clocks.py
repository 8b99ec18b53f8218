"""Times: late and jumping clocks, containers without presentation times, odd frame rates."""

from fractions import Fraction

import av
import numpy as np
import pytest

from tests.faults.media import enhance, make, opened, streams, times
from vqe_jax.video import open_reader, read_frames

STEP = 0.04
SOUND = {"mpeg2video": "mp2", "libx264": "aac", "mpeg4": "mp2"}


def late(path, seconds, **made):
    """A recording whose clock began long ago."""
    return make(path, container={"output_ts_offset": str(seconds)}, **made)


def first_times(path) -> dict[str, float]:
    with opened(path) as container:
        found = {}
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                found.setdefault(packet.stream.type, float(packet.pts * packet.time_base))
    return found


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
@pytest.mark.parametrize(("name", "seconds"), [("a.ts", 95_000), ("a.ts", 40), ("a.mkv", 3600)])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_late_clock_starts_at_zero(tmp_path, codec, name, seconds, suffix):
    source = late(tmp_path / name, seconds, codec=codec, sound=SOUND[codec], sound_rate=48000)
    target = tmp_path / f"b{suffix}"
    enhance(source, target)
    before, after = first_times(source), first_times(target)
    assert before["video"] > 39 and min(after.values()) < 0.05
    apart = [t["video"] - t["audio"] for t in (before, after)]
    assert abs(apart[0] - apart[1]) < 0.002
    assert np.allclose(np.diff(times(target)), STEP, atol=0.0011)


def test_a_transport_stream_keeps_its_clock(tmp_path):
    source = late(tmp_path / "a.ts", 5_000, codec="mpeg2video")
    enhance(source, tmp_path / "b.ts")
    assert times(tmp_path / "b.ts")[0] >= 5_000


@pytest.mark.parametrize("starts", [(0, 0), (500, 0), (9_000, 20), (0, 500), (0, 9_000)])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_where_the_clock_jumps_time_goes_on(tmp_path, starts, suffix):
    parts = [
        late(tmp_path / f"{i}.ts", start, codec="mpeg2video", sound="mp2", sound_rate=48000)
        for i, start in enumerate(starts)
    ]
    source = tmp_path / "a.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    target = tmp_path / f"b{suffix}"
    said = enhance(source, target)
    assert sum("clock jumps" in s for s in said) == 1
    found = times(target)
    assert len(found) == 16
    assert np.allclose(np.diff(found), STEP, atol=0.09) and found[-1] - found[0] < 16 * STEP + 0.1


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("between", ["1", "2", "3"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_containers_with_decoding_times_only(tmp_path, codec, between, suffix):
    if codec == "mpeg4" and between == "3":
        between = "0"
    source = make(tmp_path / "a.avi", codec=codec, options={"bf": between}, frames=14)
    said = enhance(source, tmp_path / f"b{suffix}")
    found = times(tmp_path / f"b{suffix}")
    assert len(found) == 14 and np.allclose(np.diff(found), STEP, atol=0.0011)
    assert not any("come after" in s for s in said)


@pytest.mark.parametrize("rate", [25, Fraction(30000, 1001), 240, Fraction(1, 2), 12, 1000])
@pytest.mark.parametrize("suffix", [".y4m", ".avi", ".mkv"])
def test_frame_rates_stay(tmp_path, rate, suffix):
    source = make(tmp_path / "a.mkv", rate=rate, frames=6)
    target = tmp_path / f"b{suffix}"
    assert enhance(source, target) == []
    assert abs(open_reader(target).info.frame_rate / Fraction(rate) - 1) < 0.002


def cut(source, target, first: int):
    """The end of a file from a key frame on, as stream copies are cut: hidden frames before it."""
    with opened(source) as before, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(before.streams.video[0], opaque=True)
        packets = [p for p in before.demux(video=0) if p.size]
        shift = packets[first].dts + 2 * packets[first].duration
        for packet in packets[first:]:
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = stream
            out.mux(packet)
    return target


@pytest.mark.parametrize("first", [8, 16])
def test_hidden_frames_are_not_counted(tmp_path, first):
    options = {"g": "8", "bf": "2", "sc_threshold": "0"}
    source = cut(make(tmp_path / "w.mp4", frames=24, options=options), tmp_path / "a.mp4", first)
    info = open_reader(source).info
    assert info.frames == len(read_frames(source)) and info.frame_rate == 25


def test_uneven_times_are_named_where_they_are_lost(tmp_path):
    stamps = [0, 1, 2, 7, 8, 15, 22, 23]
    source = make(tmp_path / "a.mkv", base=Fraction(1, 30), stamps=stamps, rate=30)
    assert times(source)[-1] == pytest.approx(23 / 30, abs=0.001)
    assert any("has no times of its own" in s for s in enhance(source, tmp_path / "b.y4m"))
    assert not any("times" in s for s in enhance(source, tmp_path / "c.mp4"))
    assert np.allclose(times(tmp_path / "c.mp4"), times(source), atol=0.001)


@pytest.mark.parametrize("seconds", [0.5, 1.25])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_sound_that_starts_later_stays_late(tmp_path, seconds, suffix):
    source = make(tmp_path / "a.mkv", sound="flac", sound_late=seconds)
    enhance(source, tmp_path / f"b{suffix}")
    found = first_times(tmp_path / f"b{suffix}")
    assert abs(found["audio"] - found["video"] - seconds) < 0.002


def test_converted_sound_that_starts_later_stays_late(tmp_path):
    source = make(tmp_path / "a.mkv", sound="flac", sound_late=0.5)
    enhance(source, tmp_path / "b.mov", codec="libx264")
    assert ("audio", "alac") in streams(tmp_path / "b.mov")
    assert first_times(tmp_path / "b.mov")["audio"] == pytest.approx(0.5, abs=0.002)
