"""Sources that end early or have holes are an error or a warning with a count, never silence."""

import os
import re
import threading
import warnings
from fractions import Fraction

import numpy as np
import pytest

from tests.faults.media import enhance, make, model
from vqe_jax.errors import UserError
from vqe_jax.inference.file import Request, prepare, run
from vqe_jax.video import Frame, PixelFormat, container, open_reader
from vqe_jax.video.libav import picture_decoder
from vqe_jax.video.png import encode_png

FORMATS = {
    ".ts": {"codec": "libx264"},
    ".m2ts": {"codec": "mpeg2video", "sound": "mp2", "sound_rate": 48000},
    ".mkv": {"codec": "libx265", "sound": "aac"},
    ".mp4": {"codec": "libx264"},
    ".mov": {"codec": "mpeg4"},
    ".webm": {"codec": "libvpx-vp9"},
    ".avi": {"codec": "mpeg4"},
    ".264": {"codec": "libx264", "options": {"bf": "2"}},
}


def outcome(source, target) -> tuple[str, int]:
    """("error" | "warned" | "silent", frames written)."""
    try:
        said = enhance(source, target, codec="ffv1")
    except UserError as err:
        assert "\n" not in str(err) and not target.exists()
        return "error", 0
    count = len(list(open_reader(target)))
    return ("warned" if any("interlaced" not in s for s in said) else "silent"), count


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("part", [0.45, 0.7, 0.9])
def test_a_file_that_was_cut_short(tmp_path, suffix, part):
    source = make(tmp_path / f"a{suffix}", frames=24, **FORMATS[suffix])
    data = source.read_bytes()
    source.write_bytes(data[: int(len(data) * part) // 188 * 188 + 70])
    found, count = outcome(source, tmp_path / "b.mkv")
    assert found != "silent" or count == 24


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".webm", ".264", ".m2ts"])
@pytest.mark.parametrize("part", [0.5, 0.65, 0.8])
def test_a_hole(tmp_path, suffix, part):
    source = make(tmp_path / f"a{suffix}", frames=24, **FORMATS[suffix])
    data = source.read_bytes()
    at = int(len(data) * part)
    source.write_bytes(data[:at] + bytes(400) + data[at + 400 :])
    found, count = outcome(source, tmp_path / "b.mkv")
    assert found != "silent" or count == 24


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
@pytest.mark.parametrize("first", [9, 14])
def test_frames_that_are_missing_are_counted(tmp_path, suffix, first):
    """No byte is damaged; the frames were never there."""
    stamps = [n for n in range(24) if not first <= n < first + 3][:20]
    source = make(tmp_path / f"a{suffix}", frames=20, base=Fraction(1, 25), stamps=stamps)
    said = enhance(source, tmp_path / "b.mkv")
    assert any("3 frames seem to be missing at 1 places" in s for s in said)


@pytest.mark.parametrize("change", ["truncate", "append", "overwrite"])
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mp4"])
def test_a_source_that_changes_while_it_is_read(tmp_path, change, suffix):
    source = make(tmp_path / f"a{suffix}", frames=24)
    size = source.stat().st_size
    job = prepare(open_reader(source), tmp_path / "b.mkv", Request(model=model(), codec="ffv1"))

    def meddle(done, expected):
        if done == 3:
            if change == "truncate":
                os.truncate(source, size - 10)
            elif change == "append":
                with source.open("ab") as file:
                    file.write(b"more")
            else:
                source.write_bytes(source.read_bytes())

    with pytest.raises(UserError, match="changed while it was read"):
        run(job, progress=meddle)
    assert not (tmp_path / "b.mkv").exists()


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".avi", ".m2ts"])
@pytest.mark.parametrize("part", [0.75, 0.9])
def test_what_is_kept_of_a_cut_file_is_said(tmp_path, suffix, part):
    source = make(
        tmp_path / f"a{suffix}", frames=40, codec="mpeg4" if suffix == ".avi" else "libx264"
    )
    source.write_bytes(source.read_bytes()[: int(part * source.stat().st_size) // 188 * 188 + 90])
    said = open_reader(source, keep_damaged=True).concerns()
    assert any("is cut short" in s and "what is there is used" in s for s in said)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(("shown", "said"), [(1, True), (6, True), (20, False), (24, False)])
def test_an_edit_list_that_hides_most_of_the_film_is_told(tmp_path, suffix, shown, said):
    source = make(tmp_path / f"a{suffix}", frames=24, options={"bf": "2"})
    data = bytearray(source.read_bytes())
    at = data.index(b"elst") + 12  # of the only entry, after version, flags and count
    data[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") * shown // 24).to_bytes(4, "big")
    source.write_bytes(data)
    reader = open_reader(source)
    assert any("edit list hides" in s for s in reader.concerns()) == said
    assert len(list(reader)) <= shown + 1


@pytest.mark.parametrize("place", [0, 1, 5])
def test_a_stream_that_appears_late_costs_no_frame(tmp_path, place):
    """PyAV does not know it, and may stumble when it tells all streams' end."""
    source = make(tmp_path / "a.flv", codec="flv", frames=300)
    whole = bytearray(source.read_bytes())
    whole[4] = 1  # the header speaks of a picture alone
    sound = b"\x2f" + b"\xff\xfb\x90\xc4" + bytes(60)
    tag = b"\x08" + len(sound).to_bytes(3, "big") + bytes(7) + sound
    tag += len(tag).to_bytes(4, "big")
    end = len(whole)
    for _ in range(place):
        end -= 4 + int.from_bytes(whole[end - 4 : end], "big")
    source.write_bytes(whole[:end] + tag + whole[end:])
    reader = open_reader(source)
    assert len(list(reader)) == 300
    reader.concerns()


def _told(source, threads, monkeypatch, keep_damaged) -> list[str]:
    """What is said of a file where the decoder works on so many pictures at once."""

    def decoder(stream):
        found = picture_decoder(stream)
        found.thread_count = threads
        return found

    monkeypatch.setattr(container, "picture_decoder", decoder)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            list(open_reader(source, keep_damaged=keep_damaged))
        except UserError:
            return ["refused"]
    return [re.sub(r"first at frame.*", "", str(w.message)) for w in said]


@pytest.mark.parametrize("suffix", [".264", ".mkv", ".hevc", ".avi", ".ts"])
@pytest.mark.parametrize("keep_damaged", [False, True])
def test_damage_is_told_alike_on_machines_of_any_size(tmp_path, monkeypatch, suffix, keep_damaged):
    """Near the beginning, in the middle and at the end: decoders work ahead in threads."""
    codec = {".hevc": "libx265", ".avi": "mpeg4", ".ts": "mpeg2video"}.get(suffix, "libx264")
    options = {"x265-params": "log-level=none:hash=1"} if suffix == ".hevc" else {"bf": "2"}
    source = make(tmp_path / f"a{suffix}", codec=codec, frames=30, options=options | {"qp": "9"})
    whole = source.read_bytes()
    told = []
    for parts in ((0.35, 0.4), (0.6, 0.63), (0.93, 0.97)):
        damaged = bytearray(whole)
        for at in (int(part * len(whole)) for part in parts):
            damaged[at : at + 12] = bytes(b ^ 0x55 for b in whole[at : at + 12])
        source.write_bytes(damaged)
        one, *others = [_told(source, n, monkeypatch, keep_damaged) for n in (1, 3, 16)]
        assert others == [one, one]
        told += one
    assert told


def test_raw_files_that_end_early(tmp_path):
    one = 64 * 48 * 3 // 2
    named = tmp_path / "x_64x48_30.yuv"
    named.write_bytes(bytes(3 * one))
    said = enhance(named, tmp_path / "b.mkv", codec="ffv1")
    assert any("the name says 30 frames, the file holds 3" in s for s in said)
    named.write_bytes(bytes(3 * one + 100))
    with pytest.raises(UserError, match="not a whole number"):
        enhance(named, tmp_path / "b.mkv")
    said = enhance(named, tmp_path / "b.mkv", codec="ffv1", keep_damaged=True)
    assert any("ends within a frame" in s for s in said)
    text = tmp_path / "a.y4m"
    text.write_bytes(b"YUV4MPEG2 W64 H48 F25:1\n" + (b"FRAME\n" + bytes(one)) * 3 + b"FRAME\nxx")
    with pytest.raises(UserError, match="cut short"):
        enhance(text, tmp_path / "b.mkv")
    said = enhance(text, tmp_path / "b.mkv", codec="ffv1", keep_damaged=True)
    assert any("breaks off within frame 3" in s for s in said)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ("1 2 3 6 7", 2),
        ("f08 f09 f11", 1),
        ("0 10 20 30", 0),
        ("a1 b2 c5", 0),
        ("1 2 3", 0),
        ("x2_0001 x2_0002 x2_0004", 1),
    ],
)
def test_numbers_that_a_folder_of_png_leaves_out(tmp_path, names, missing):
    picture = encode_png(Frame((np.zeros((48, 64), np.uint8),) * 3, PixelFormat(8, "rgb")))
    for name in names.split():
        (tmp_path / f"{name}.png").write_bytes(picture)
    said = open_reader(tmp_path).concerns()
    assert bool(said) == bool(missing)
    assert not said or f"{missing} numbers are missing" in said[0]


def test_kinds_of_png_are_known_before_any_work(tmp_path):
    for name, layout, planes in (("1", "rgb", 3), ("2", "gray", 1)):
        frame = Frame((np.zeros((48, 64), np.uint8),) * planes, PixelFormat(8, layout))
        (tmp_path / f"{name}.png").write_bytes(encode_png(frame))
    with pytest.raises(UserError, match=r"2\.png: 64x48 gray among frames of 64x48 gbrp"):
        open_reader(tmp_path).concerns()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a_0x0.yuv", b"12345678"),
        ("a_0x16.yuv", b"12345678"),
        ("a_1000000x1000000.yuv", b"12345678"),
        ("a.y4m", b"YUV4MPEG2 W64 H48 F1:1000000000000000000000\nFRAME\n" + bytes(4608)),
        ("a.y4m", b"YUV4MPEG2 W60000 H60000 F25:1\nFRAME\n" + bytes(4608)),
        ("a.y4m", b"YUV4MPEG2 W1000000 H1000000 F25:1\nFRAME\n" + bytes(4608)),
    ],
)
def test_absurd_sizes_are_refused_in_a_line(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as err:
        enhance(tmp_path / name, tmp_path / "b.mkv")
    assert "\n" not in str(err.value)


@pytest.mark.parametrize("name", ["b.mkv", "b.y4m", "b"])
def test_two_runs_do_not_write_one_file(tmp_path, name):
    source = make(tmp_path / "a.mkv")
    target = tmp_path / name
    job = prepare(open_reader(source), target, Request(model=model()))
    refused = []

    def second(done, expected):
        if done == 2:
            thread = threading.Thread(target=try_again)
            thread.start()
            thread.join()

    def try_again():
        try:
            prepare(open_reader(source), target, Request(model=model()))
        except UserError as err:
            refused.append(str(err))

    run(job, progress=second)
    assert len(refused) == 1 and "being written by another run" in refused[0]
    assert len(list(open_reader(target))) == 8
