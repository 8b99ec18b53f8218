"""Streams that end early or lose packets where no container says how long they are."""

import random

import pytest

from tests.faults.media import make
from vqe_jax.errors import UserError
from vqe_jax.video import open_reader
from vqe_jax.video.transport import stream_faults
from vqe_jax.video.walk import walk

QUIET = "log-level=none"
BARE = {
    "cabac": (".264", {"codec": "libx264"}),
    "cavlc": (".264", {"codec": "libx264", "options": {"coder": "0", "bf": "0"}}),
    "slices": (".264", {"codec": "libx264", "options": {"slices": "3"}}),
    "hevc": (".hevc", {"codec": "libx265"}),
    "hevc slices": (
        ".hevc",
        {"codec": "libx265", "options": {"x265-params": f"{QUIET}:ctu=16:slices=3:bframes=0"}},
    ),
    "mpeg2": (".m2v", {"codec": "mpeg2video"}),
}


def told(path) -> bool:
    """Whether something is said, or the file refused."""
    try:
        reader = open_reader(path)
        return bool(reader.concerns()) or not list(reader)
    except UserError:
        return True


@pytest.mark.parametrize("kind", BARE)
def test_a_bare_stream_that_breaks_off_within_a_picture(tmp_path, kind):
    suffix, made = BARE[kind]
    source = make(tmp_path / f"a{suffix}", frames=9, **made)
    whole = source.read_bytes()
    assert not told(source)
    last = len(walk(source, None).tail[-1])
    for cut in {3, last // 3, 2 * last // 3}:
        source.write_bytes(whole[:-cut])
        assert told(source), cut


@pytest.mark.parametrize("kind", ["slices", "hevc slices"])
@pytest.mark.parametrize("slices", [1, 2])
def test_slices_that_are_missing_at_the_end(tmp_path, kind, slices):
    """Each of those that are there is whole."""
    suffix, made = BARE[kind]
    source = make(tmp_path / f"a{suffix}", frames=9, **made)
    data = source.read_bytes()
    for _ in range(slices):
        data = data[: data.rindex(b"\0\0\1")]
    source.write_bytes(data)
    assert told(source)


@pytest.mark.parametrize("kind", ["cabac", "hevc"])
def test_what_is_no_picture_at_the_end_of_a_stream(tmp_path, kind):
    """Noise has taken the place of the last pictures, and the decoder passes over it."""
    suffix, made = BARE[kind]
    source = make(tmp_path / f"a{suffix}", frames=9, **made)
    data = source.read_bytes()
    end = data.rindex(b"\0\0\1") - 1
    noise = bytes(random.Random(4).choices(range(4, 256), k=200))
    source.write_bytes(data[:end] + noise)
    assert told(source)


@pytest.mark.parametrize("kind", ["cabac", "cavlc", "hevc"])
@pytest.mark.parametrize("bit", [2, 4, 7])
def test_a_start_code_that_is_damaged_at_the_end(tmp_path, kind, bit):
    """The last picture is taken for the end of the one before, which needs none of it."""
    suffix, made = BARE[kind]
    source = make(tmp_path / f"a{suffix}", frames=9, **made)
    data = bytearray(source.read_bytes())
    data[data.rindex(b"\0\0\1") + 2] ^= 1 << bit
    source.write_bytes(data)
    assert any("does not end with a whole picture" in s for s in open_reader(source).concerns())


@pytest.mark.parametrize("suffix", [".264", ".hevc"])
@pytest.mark.parametrize("pictures", [2, 3, 4])
def test_pictures_that_others_were_coded_before_are_missed(tmp_path, suffix, pictures):
    """Only the beginning is there: the first pictures in the order of coding, each whole."""
    codec, options = "libx264", {"bf": "3", "x264-params": "b-adapt=0:scenecut=0"}
    if suffix == ".hevc":
        codec, options = "libx265", {"x265-params": f"{QUIET}:bframes=3:b-adapt=0"}
    source = make(tmp_path / f"a{suffix}", codec=codec, frames=13, options=options)
    data = source.read_bytes()
    source.write_bytes(data[: sum(map(len, list(walk(source, None).tail)[:pictures]))])
    assert any("frames are missing" in s for s in open_reader(source).concerns())


def test_order_counts_wrap_where_filler_follows_the_pictures(tmp_path):
    options = {"x264-params": "nal-hrd=cbr:bitrate=300:vbv-maxrate=300:vbv-bufsize=300"}
    source = make(tmp_path / "a.264", frames=40, options=options)
    assert not told(source)


@pytest.mark.parametrize("suffix", [".ts", ".m2ts"])
def test_lost_packets_of_a_transport_stream_are_counted(tmp_path, suffix):
    size = 188 if suffix == ".ts" else 192
    source = make(tmp_path / f"a{suffix}", frames=20, sound="mp2", sound_rate=48000)
    whole = source.read_bytes()
    assert not told(source) and len(whole) > 60 * size
    for first, count in ((20, 1), (33, 3), (48, 5)):
        data = bytearray(whole)
        del data[first * size : (first + count) * size]
        source.write_bytes(data)
        assert any("count of its transport packets breaks" in s for s in stream_faults(source))
    source.write_bytes(whole[: 25 * size] + whole[25 * size + 70 :])
    assert any("belong to none" in s for s in stream_faults(source))
    data = bytearray(whole)
    data[30 * size + size - 187] |= 0x80  # marked by the receiver
    data[40 * size + size - 188] = 0
    source.write_bytes(data)
    assert any("2 transport packets are damaged" in s for s in stream_faults(source))
    data = bytearray(whole)
    for n in range(20, 30):
        data[n * size + size - 185] |= 0x80
    source.write_bytes(data)
    assert any("transport packets are scrambled" in s for s in stream_faults(source))


def test_a_packet_sent_twice_is_not_lost(tmp_path):
    source = make(tmp_path / "a.ts", frames=10)
    data = source.read_bytes()
    source.write_bytes(data[: 188 * 9] + data[188 * 8 :])
    assert not stream_faults(source)


@pytest.mark.parametrize("suffix", [".mpg", ".vob"])
def test_a_program_stream_that_lost_bytes(tmp_path, suffix):
    source = make(
        tmp_path / f"a{suffix}", codec="mpeg2video", frames=30, sound="mp2", sound_rate=48000
    )
    whole = source.read_bytes()
    assert not told(source)
    source.write_bytes(whole[:5000] + whole[5100:])
    assert any("do not follow one another at 1 places" in s for s in stream_faults(source))
    source.write_bytes(whole[:-100])
    assert any("100 bytes are missing" in s for s in stream_faults(source))


@pytest.mark.parametrize("codec", ["flv", "libx264"])
@pytest.mark.parametrize("part", [0.6, 0.75, 0.9])
def test_a_flash_file_whose_chain_is_broken(tmp_path, codec, part):
    source = make(tmp_path / "a.flv", codec=codec, frames=20)
    assert not told(source)
    data = bytearray(source.read_bytes())
    at = int(part * len(data))
    data[at : at + 120] = random.Random(at).randbytes(120)
    source.write_bytes(data)
    assert told(source)


@pytest.mark.parametrize("part", [0.5, 0.8, 0.9])
def test_a_nut_file_with_a_hole(tmp_path, part):
    source = make(tmp_path / "a.nut", codec="mpeg4", frames=20)
    assert not told(source)
    data = bytearray(source.read_bytes())
    at = int(part * len(data))
    data[at : at + 80] = bytes(80)
    source.write_bytes(data)
    assert told(source)


@pytest.mark.parametrize("frames", [8, 9, 11])
def test_an_ivf_file_that_ends_early(tmp_path, frames):
    source = make(tmp_path / "a.ivf", codec="libvpx-vp9", frames=12)
    assert not told(source)
    data, at = source.read_bytes(), 32
    for _ in range(frames):
        at += 12 + int.from_bytes(data[at : at + 4], "little")
    source.write_bytes(data[:at])
    assert told(source)


def test_a_sound_that_is_named_and_not_there(tmp_path):
    source = make(tmp_path / "a.ts", codec="mpeg2video", frames=6, sound="mp2", sound_rate=48000)
    whole = source.read_bytes()
    packets = [whole[n : n + 188] for n in range(0, len(whole), 188)]
    source.write_bytes(b"".join(p for p in packets if (p[1] & 31) << 8 | p[2] != 0x101))
    assert any("its sounds hold nothing" in s for s in open_reader(source).concerns())


@pytest.mark.parametrize("codec", ["flv", "libx264"])
@pytest.mark.parametrize("kept", [1, 2, 3, 6])
def test_flv_that_was_cut_between_its_tags(tmp_path, codec, kept):
    source = make(tmp_path / "a.flv", codec=codec, sound="aac", frames=16)
    whole = source.read_bytes()
    assert not told(source)
    place, pictures = 13, 0
    while pictures <= kept:  # tags of 9 are pictures, the first of H.264 its parameters
        pictures += whole[place] == 9
        place += 15 + int.from_bytes(whole[place + 1 : place + 4], "big")
    source.write_bytes(whole[:place])
    assert told(source)
