"""Damage that changes pictures and not their number: checksums, counts and what decoders say."""

import random

import av
import pytest

from tests.faults.media import enhance, make
from tests.faults.test_files_damage import outcome
from vqe_jax.errors import UserError
from vqe_jax.video import open_reader
from vqe_jax.video.log import captured, counting_errors
from vqe_jax.video.matroska import matroska_faults
from vqe_jax.video.walk import walk

FFV1 = {"codec": "ffv1", "options": {"level": "3", "slicecrc": "1"}}
OLD_FFV1 = {"codec": "ffv1", "options": {"level": "1"}}


def flipped(source, at: float):
    data = bytearray(source.read_bytes())
    data[int(at * len(data))] ^= 0x10
    source.write_bytes(bytes(data))
    return source


@pytest.mark.parametrize("at", [0.5, 0.8])
@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("a.mkv", FFV1),
        ("a.avi", FFV1),
        ("a.nut", FFV1),
        ("b.mkv", OLD_FFV1),
        ("c.mkv", {"codec": "libx264"}),
        ("d.mkv", {"codec": "libvpx-vp9"}),
        ("e.mkv", {"codec": "mjpeg", "layout": "yuvj420p"}),
    ],
)
def test_one_bit_is_noticed_where_there_is_a_checksum(tmp_path, name, made, at):
    source = make(tmp_path / name, frames=16, **made)
    assert outcome(source, tmp_path / "out.mkv") == ("silent", 16)
    found, _ = outcome(flipped(source, at), tmp_path / "out2.mkv")
    assert found != "silent"


def test_checksums_of_matroska(tmp_path):
    source = make(tmp_path / "a.mkv")
    assert not matroska_faults(source)
    assert "1 of its parts do not match" in matroska_faults(flipped(source, 0.5))[0]
    assert any("do not match their checksums" in s for s in open_reader(source).concerns())


def test_hashes_in_the_stream_are_compared(tmp_path):
    """As the reference encoder writes them."""
    hashed = {"x265-params": "hash=1:log-level=none:keyint=8"}
    source = make(tmp_path / "a.hevc", codec="libx265", options=hashed, frames=16)
    whole = source.read_bytes()
    assert enhance(source, tmp_path / "b.mkv", codec="ffv1") == []
    rng, noticed = random.Random(3), 0
    reference = [f.planes[0].tobytes() for f in open_reader(source)]
    for _ in range(12):
        data = bytearray(whole)
        data[rng.randrange(len(data) // 2, len(data))] ^= 1 << rng.randrange(8)
        source.write_bytes(bytes(data))
        try:
            said = enhance(source, tmp_path / "b.mkv", codec="ffv1")
            same = [f.planes[0].tobytes() for f in open_reader(source)] == reference
        except (UserError, UserWarning):
            noticed += 1
            continue
        assert said or same
        noticed += bool(said)
    assert noticed > 3


@pytest.mark.parametrize(("name", "codec"), [("a.m2v", "mpeg2video"), ("a.m1v", "mpeg1video")])
@pytest.mark.parametrize("lost", [3, 6, 13])
def test_pictures_lost_from_a_bare_mpeg_stream(tmp_path, name, codec, lost):
    options = {"g": "9", "bf": "2", "sc_threshold": "1000000000"}
    source = make(tmp_path / name, codec=codec, frames=20, options=options)
    assert walk(source, None).places.missing() == 0
    pictures = source.read_bytes().split(b"\x00\x00\x01\x00")
    del pictures[lost]
    source.write_bytes(b"\x00\x00\x01\x00".join(pictures))
    assert walk(source, None).places.missing() == 1
    found, _ = outcome(source, tmp_path / "out.mkv")
    assert found != "silent"


@pytest.mark.parametrize("name", ["a.264", "a.hevc", "a.ts", "a.m2v", "a.ivf"])
def test_an_unfinished_download_is_noticed(tmp_path, name):
    """All of its room is there, and zeros in what has not come yet."""
    codec = {"hevc": "libx265", "m2v": "mpeg2video", "ivf": "libvpx-vp9"}.get(name[2:], "libx264")
    source = make(tmp_path / name, codec=codec, frames=16)
    data = source.read_bytes()
    part = len(data) * 2 // 3
    source.write_bytes(data[:part] + bytes(max(200, len(data) - part)))
    found, _ = outcome(source, tmp_path / "out.mkv")
    assert found != "silent"


@pytest.mark.parametrize("name", ["a.ivf", "a.nut", "a.flv"])
@pytest.mark.parametrize("part", [0.4, 0.75])
def test_a_file_shorter_than_its_header_says(tmp_path, name, part):
    codec = {"ivf": "libvpx-vp9", "nut": "mpeg4"}.get(name[2:], "libx264")
    source = make(tmp_path / name, codec=codec, frames=24)
    data = source.read_bytes()
    source.write_bytes(data[: int(part * len(data))])
    found, count = outcome(source, tmp_path / "out.mkv")
    assert found != "silent" and count < 24


def test_times_beyond_all_years_are_a_sentence(tmp_path):
    source = make(tmp_path / "a.ivf", codec="libvpx-vp9", frames=12)
    data = bytearray(source.read_bytes())
    for place, value in ((4, 0x60), (7, 0x7F)):  # of the fifth frame's time
        changed, at = bytearray(data), 32
        for _ in range(5):
            at += 12 + int.from_bytes(changed[at : at + 4], "little")
        changed[at + 4 + place] = value
        source.write_bytes(bytes(changed))
        found, _ = outcome(source, tmp_path / f"{place}.mkv")
        assert found != "silent"


def test_counting_and_capturing_do_not_disturb_each_other():
    before = av.logging.get_level()
    with counting_errors():
        counted, _ = av.logging.get_last_error()
        with captured(av.logging.WARNING) as logs:
            av.logging.log(av.logging.WARNING, "x", "a word")
        av.logging.log(av.logging.ERROR, "x", "an error")
        av.logging.log(av.logging.ERROR, "x", "another")
        assert av.logging.get_last_error()[0] == counted + 2
    assert [text for _, _, text in logs] == ["a word"] and av.logging.get_level() == before


def test_readers_that_are_left_early_leave_no_thread_waiting(tmp_path):
    """A decoder that is closed while its threads have something to say would wait for ever."""
    source = make(tmp_path / "a.264", frames=40, options={"bf": "2", "threads": "4"})
    data = bytearray(source.read_bytes())
    for at in range(len(data) // 3, len(data), 90):
        data[at] ^= 0x40
    source.write_bytes(bytes(data))
    for wanted in (1, 2, 5, 9):
        frames = iter(open_reader(source, keep_damaged=True))
        for _ in range(wanted):
            next(frames, None)
        frames.close()
