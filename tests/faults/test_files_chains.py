"""Containers whose packets lead from one to the next: what noise and holes do to the chain."""

import dataclasses
import random
import warnings
from fractions import Fraction

import av
import pytest

from tests.faults.media import make
from vqe_jax.errors import UserError
from vqe_jax.video import open_reader
from vqe_jax.video.asf import asf_faults
from vqe_jax.video.matroska import matroska_faults
from vqe_jax.video.mp4 import mp4_faults
from vqe_jax.video.nut import nut_faults
from vqe_jax.video.ogg import ogg_faults
from vqe_jax.video.survey import survey
from vqe_jax.video.tags import broken_tags
from vqe_jax.video.truncation import bytes_missing
from vqe_jax.video.walk import walk

# Steps that are not alike: of those that are, times alone tell that one is missing.
UNEVEN = {
    "base": Fraction(1, 1000),
    "stamps": [0, 20, 60, 360, 400, 500, 530, 600, 1000, 1050, 1500, 1520],
    "rate": Fraction(12, 2),
}
KINDS = {
    "nut": (".nut", {"codec": "mpeg4", "sound": "flac"}),
    "uneven nut": (".nut", {"codec": "mpeg4", **UNEVEN}),
    "nut of key frames": (".nut", {"codec": "ffv1", "sound": "pcm_s16le"}),
    "nut with another order": (".nut", {"codec": "libx264", "sound": "aac"}),
    "ogg": (".ogg", {"codec": "libvpx", "sound": "libopus", "sound_rate": 48000}),
    "asf": (".asf", {"codec": "wmv2", "sound": "mp2", "sound_rate": 48000}),
    "uneven asf": (".asf", {"codec": "libx264", **UNEVEN}),
    "uneven wmv": (".wmv", {"codec": "msmpeg4", **UNEVEN}),
    "webm": (".webm", {"codec": "libvpx-vp9", "sound": "libopus", "sound_rate": 48000}),
    "uneven webm": (".webm", {"codec": "libvpx", **UNEVEN}),
    "mp4": (".mp4", {"codec": "libx264", "sound": "aac"}),
    "uneven mp4": (".mp4", {"codec": "mpeg4", **UNEVEN}),
    "uneven mov": (".mov", {"codec": "libx264", **UNEVEN}),
    "uneven flash": (".flv", {"codec": "flv", **UNEVEN}),
}


def faults(path) -> list[str]:
    return [
        text
        for of in (nut_faults, ogg_faults, asf_faults, matroska_faults, mp4_faults)
        for text in of(path)
    ]


def silent(path) -> int | None:
    """How many frames a file has of which nothing is said; None where something is."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            reader = open_reader(path)
            concerns = reader.concerns()
            frames = len(list(reader))
        except UserError:
            return None
    return None if concerns or said else frames


def ends(path) -> list[int]:
    """Where the data of packets end, in the order of the file."""
    data, at = path.read_bytes(), [0]
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                at.append(data.index(bytes(packet), at[-1]) + packet.size)
    return at[1:]


def noise(rng, data: bytearray) -> None:
    at = rng.randrange(len(data) // 4, len(data))
    size = len(data[at : at + rng.choice((8, 60, 300))])
    data[at : at + size] = rng.randbytes(size)


def hole(rng, data: bytearray) -> None:
    at = rng.randrange(len(data) // 4, len(data))
    del data[at : at + rng.choice((8, 60, 300))]


def flip(rng, data: bytearray) -> None:
    for _ in range(4):
        data[rng.randrange(len(data) // 4, len(data))] ^= 1 << rng.randrange(8)


@pytest.mark.parametrize("damage", [noise, hole, flip])
@pytest.mark.parametrize("kind", KINDS)
def test_no_frame_is_lost_without_a_word(tmp_path, kind, damage):
    suffix, made = KINDS[kind]
    source = make(tmp_path / f"a{suffix}", frames=12, **made)
    whole = source.read_bytes()
    assert silent(source) == 12
    for seed in range(8):
        data = bytearray(whole)
        damage(random.Random(seed), data)
        source.write_bytes(data)
        assert silent(source) in (None, 12), seed


@pytest.mark.parametrize("codec", ["mpeg4", "ffv1", "mpeg2video", "libvpx-vp9", "libx265"])
@pytest.mark.parametrize("sound", [None, "mp2"])
def test_a_whole_nut_file_adds_up(tmp_path, codec, sound):
    made = {"codec": codec, "sound": sound, "sound_rate": 48000, "frames": 30}
    assert not faults(make(tmp_path / "a.nut", **made))


@pytest.mark.parametrize("lost", [1, 2, 4])
def test_whole_packets_that_a_nut_file_has_lost(tmp_path, lost):
    """The chain goes on over the gap; the index knows where the rest stood, and what came last."""
    source = make(tmp_path / "a.nut", codec="mpeg4", frames=30, options={"g": "5"})
    whole, at = source.read_bytes(), ends(source)
    source.write_bytes(whole[: at[6]] + whole[at[6 + lost] :])
    assert any("its index names other places" in text for text in faults(source))
    index = whole.rindex(bytes.fromhex("4e58dd672f23e64e"))
    source.write_bytes(whole[: at[-1 - lost]] + whole[index:])
    assert any("its index has the last frame at 1.16 s" in text for text in faults(source))


@pytest.mark.parametrize(
    "name", ["4e4d7a561f5f04ad", "4e5311405bf2f9db", "4e4be4adeeca4569", "4e58dd672f23e64e"]
)
def test_checksums_of_nut(tmp_path, name):
    """Of its header, the streams, the syncpoints and the index."""
    source = make(tmp_path / "a.nut", codec="mpeg4", frames=8)
    data = bytearray(source.read_bytes())
    data[data.index(bytes.fromhex(name)) + 10] ^= 4
    source.write_bytes(data)
    assert any("1 of its packets do not match" in text for text in nut_faults(source))


def pages(data: bytes) -> list[int]:
    at = [0]
    while (found := data.find(b"OggS", at[-1] + 4)) >= 0:
        at.append(found)
    return at


def test_pages_that_an_ogg_file_has_lost(tmp_path):
    source = make(tmp_path / "a.ogg", codec="libvpx", frames=12, sound="flac", options={"g": "3"})
    whole = source.read_bytes()
    at = pages(whole)
    source.write_bytes(whole[: at[-3]] + whole[at[-2] :])
    assert any("1 of its pages are missing" in text for text in ogg_faults(source))
    source.write_bytes(whole[: at[-1]])
    assert any("no proper end" in text for text in ogg_faults(source))
    data = bytearray(whole)
    data[at[-2] + 60] ^= 1
    source.write_bytes(data)
    assert any("1 of its pages do not match their checksums" in t for t in ogg_faults(source))


@pytest.mark.parametrize("suffix", [".wmv", ".asf"])
@pytest.mark.parametrize("part", [0.4, 0.7, 0.95])
def test_an_asf_file_that_is_cut_short(tmp_path, suffix, part):
    source = make(tmp_path / f"a{suffix}", codec="wmv2", frames=20, sound="mp2", sound_rate=48000)
    data = source.read_bytes()
    assert not bytes_missing(source) and silent(source) == 20
    source.write_bytes(data[: int(part * len(data))])
    assert bytes_missing(source) == len(data) - int(part * len(data))
    with pytest.raises(UserError, match="is cut short"):
        open_reader(source)
    assert any("is cut short" in s for s in open_reader(source, keep_damaged=True).concerns())


def test_frames_that_an_asf_file_has_lost(tmp_path):
    """Of packets of one size, one is gone, and the next one is there twice in its stead."""
    source = make(tmp_path / "a.wmv", codec="wmv2", frames=60, options={"b": "2M"})
    data, size = source.read_bytes(), 3200
    begin = len(data) - len(data[data.index(b"\x82\0\0") :]) + size
    source.write_bytes(data[:begin] + data[begin + size :][:size] + data[begin + size :])
    assert any("frames and sounds are" in text for text in asf_faults(source))


@pytest.mark.parametrize("change", [4, 8, 0x40])
def test_a_block_of_a_webm_file_that_became_something_else(tmp_path, change):
    """A place, the size of the cluster before, or nothing that is known."""
    source = make(tmp_path / "a.webm", codec="libvpx", **UNEVEN)
    data = bytearray(source.read_bytes())
    at = ends(source)[5]
    assert data[at] == 0xA3
    data[at] ^= change
    source.write_bytes(data)
    assert any("1 things stand between its frames" in text for text in matroska_faults(source))


def test_a_block_of_a_track_that_is_not_there(tmp_path):
    source = make(tmp_path / "a.webm", codec="libvpx", **UNEVEN)
    data = bytearray(source.read_bytes())
    data[data.index(0x81, ends(source)[5])] ^= 4
    source.write_bytes(data)
    assert matroska_faults(source)


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_a_live_stream_in_matroska_has_no_sizes(tmp_path, suffix):
    source = make(tmp_path / f"a{suffix}", codec="libvpx", frames=30, container={"live": "1"})
    assert not matroska_faults(source)


@pytest.mark.parametrize("suffix", [".webm", ".mkv", ".ivf", ".nut"])
def test_a_frame_that_says_it_is_not_to_be_shown(tmp_path, suffix):
    """Others are made only for reference, but those have no time to themselves."""
    uneven = UNEVEN if suffix in (".webm", ".mkv") else {}
    source = make(tmp_path / f"a{suffix}", codec="libvpx", frames=12, **uneven)
    data, at = bytearray(source.read_bytes()), ends(source)
    with av.open(str(source)) as container:
        sizes = [packet.size for packet in container.demux(video=0)]
    data[at[6] - sizes[6]] ^= 0x10
    source.write_bytes(data)
    assert any("not to be shown" in text for text in open_reader(source).concerns())


@pytest.mark.parametrize("step", [40, 20_000])
def test_a_picture_that_became_the_header_of_another_video(tmp_path, step):
    stamps = [n * step for n in range(8)]
    source = make(tmp_path / "a.flv", codec="flv", base=Fraction(1, 1000), stamps=stamps)
    data = bytearray(source.read_bytes())
    last = ends(source)[-2] + 4 + 11  # after the length of a tag, and the head of the next
    data[last : last + 5] = bytes((0x17, 0, 0, 0, 0))  # H.264, and its header
    source.write_bytes(data)
    assert any("1 of its videos hold nothing" in s for s in open_reader(source).concerns())


@pytest.mark.parametrize("version", [0, 2, 129])
def test_header_of_h264_in_flv_of_another_version(tmp_path, version):
    """FFmpeg takes what such a header says of the stream, and says nothing."""
    source = make(tmp_path / "a.flv", codec="libx264", frames=6)
    data = bytearray(source.read_bytes())
    at = data.index(bytes((0x17, 0, 0, 0, 0, 1)))
    assert not broken_tags(source)
    data[at + 5] = version
    source.write_bytes(data)
    assert broken_tags(source) == 1


def test_streams_that_begin_in_the_midst_are_named(tmp_path):
    """FFmpeg looks at so many bytes before it begins to play."""
    source = make(tmp_path / "a.flv", codec="flv")
    found = dataclasses.replace(walk(source, None), late=["audio", "video"])
    assert any("2 more streams (audio, video)" in s for s in survey(source, found, whole=True))


def test_tables_of_mp4_that_contradict_each_other(tmp_path):
    """Each says something else than the others; FFmpeg takes the least."""
    made = {"codec": "libx264", **UNEVEN, "options": {"bf": "2"}}
    source = make(tmp_path / "a.mp4", frames=12, **made)
    whole = source.read_bytes()
    assert not mp4_faults(source) and silent(source) == 12
    for name, place, value, words in (
        ("mvhd", 12, (0, 9, 0, 0), "of a track"),
        ("stsz", 8, (0, 0, 0, 9), "counts the frames of a track as 9 and 12"),
        ("stts", 8, (0, 0, 0, 9), "counts the frames of a track as"),
        ("ctts", 12, (9, 0, 0, 0), "at times that the track does not have"),
        ("stsc", 12, (0, 0, 0, 3), "counts the frames of a track as"),
        ("stsc", 16, (0, 0, 0, 2), "of a kind that it does not describe"),
        ("stco", 8, (9, 0, 0, 0), "behind the end of the file"),
        ("mdhd", -4, b"free", "lacks tables"),
        ("mdhd", 0, (1,), "of another length than it says"),
        ("mdhd", 16, (9, 0, 0, 0), "two lengths"),
    ):
        data, at = bytearray(whole), whole.rindex(name.encode()) + 4 + place
        data[at : at + len(value)] = bytes(value)
        source.write_bytes(data)
        assert any(words in text for text in mp4_faults(source)), (name, mp4_faults(source))


@pytest.mark.parametrize("kind", [".mp4", ".mov"])
@pytest.mark.parametrize("name", ["trak", "mdia", "minf", "stbl", "stsd", "stts", "hdlr", "edts"])
def test_boxes_of_mp4_that_do_not_fit_into_each_other(tmp_path, kind, name):
    """A parent that is too short hides the track behind it, and FFmpeg its frames."""
    source = make(tmp_path / f"a{kind}", codec="libx264", sound="aac", frames=12)
    whole = source.read_bytes()
    assert not mp4_faults(source)
    at = whole.index(name.encode(), whole.rindex(b"moov")) - 4
    length = int.from_bytes(whole[at : at + 4], "big")
    for wrong in (length - 4, length + 4, length - 1, length + 2, length | 1 << 24, 3):
        data = whole[:at] + wrong.to_bytes(4, "big") + whole[at + 4 :]
        source.write_bytes(data)
        assert mp4_faults(source), (name, length, wrong)


def test_a_header_whose_length_takes_64_bits(tmp_path):
    source = make(tmp_path / "a.mp4", codec="libx264", sound="aac", frames=12)
    whole = source.read_bytes()
    at = whole.rindex(b"moov") - 4  # behind the frames, whose places stay
    length = int.from_bytes(whole[at : at + 4], "big")
    head = (1).to_bytes(4, "big") + b"moov" + (length + 8).to_bytes(8, "big")
    data = bytearray(whole[:at] + head + whole[at + 8 :])
    source.write_bytes(data)
    assert not mp4_faults(source) and silent(source) == 12
    count = data.rindex(b"stsz") + 4 + 8
    data[count : count + 4] = bytes((0, 0, 0, 9))
    source.write_bytes(data)
    assert any("counts the frames" in text for text in mp4_faults(source))


@pytest.mark.parametrize("depth", [20, 3000])
def test_boxes_within_boxes_without_end(tmp_path, depth):
    boxes = b""
    for name in (*[b"trak"] * depth, b"moov"):
        boxes = (8 + len(boxes)).to_bytes(4, "big") + name + boxes
    source = tmp_path / "a.mp4"
    source.write_bytes((16).to_bytes(4, "big") + b"ftypisom" + bytes(4) + boxes)
    assert any("do not fit" in text for text in mp4_faults(source))
    with pytest.raises(UserError):
        open_reader(source)


@pytest.mark.parametrize("fragments", ["frag_keyframe+empty_moov", "faststart", "rtphint"])
def test_other_ways_to_write_mp4(tmp_path, fragments):
    made = {"codec": "libx264", "sound": "aac", "container": {"movflags": fragments}}
    source = make(tmp_path / "a.mp4", frames=12, **made)
    assert not mp4_faults(source)


def test_the_first_key_frame_that_does_not_come_out(tmp_path):
    """The decoder is silent, and there is nothing before it that it could belong to."""
    source = make(tmp_path / "a.nut", codec="mpeg2video", sound="flac", frames=9)
    whole = source.read_bytes()
    begin = ends(source)[0] - 250
    for seed in range(6):
        data = bytearray(whole)
        data[begin : begin + 150] = random.Random(seed).randbytes(150)
        source.write_bytes(data)
        assert silent(source) in (None, 9), seed


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_zeros_in_an_asf_file(tmp_path, part):
    source = make(tmp_path / "a.wmv", codec="wmv2", frames=9, sound="pcm_s16le", rate=12)
    data = bytearray(source.read_bytes())
    at = int(part * len(data))
    data[at : at + 850] = bytes(len(data[at : at + 850]))
    source.write_bytes(data)
    assert silent(source) in (None, 9)


@pytest.mark.parametrize("place", [92, 96])
def test_packets_of_two_sizes_in_an_asf_file(tmp_path, place):
    source = make(tmp_path / "a.wmv", codec="wmv2", frames=9)
    data = bytearray(source.read_bytes())
    data[30 + place] ^= 0x40
    source.write_bytes(data)
    assert any("two sizes" in text for text in asf_faults(source))
