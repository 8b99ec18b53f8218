"""Whether the tables of an MP4 or MOV file agree with each other (ISO 14496-12, section 8).

How many frames a track has is said four times: by sizes, by durations, by places, and by what
shifts them; how long it is, three times. FFmpeg takes the least, and is silent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

__all__ = ["mp4_faults"]

_PARENTS = ("moov", "trak", "mdia", "minf", "stbl", "edts")
_NEEDED = ("tkhd", "mdhd", "hdlr", "stsd", "stts", "stsc")
_SIZES = {"mvhd": (108, 120), "tkhd": (92, 104), "mdhd": (32, 44)}  # by version
_LARGEST = 1 << 28  # bytes of a header
_DEEPEST = 16  # boxes within boxes; of those that are looked into there are six kinds
_ALIKE, _SHOWN = 0.05, 0.5  # of a length
_TIMED = (b"vide", b"soun")


@dataclasses.dataclass(frozen=True)
class _Box:
    """A box and what is in it after its head; of a parent, the boxes in it."""

    name: str
    data: bytes
    inside: tuple[_Box, ...] = ()

    def find(self, *names: str) -> bytes | None:
        """The data of the first box of these names, at whatever depth."""
        for box in self.inside:
            if box.name in names:
                return box.data
            if (found := box.find(*names)) is not None:
                return found
        return None


def mp4_faults(path: Path) -> list[str]:
    """What in the header contradicts itself, one line; empty for other files."""
    with path.open("rb") as file:
        header = _header(file, path.stat().st_size)
    if header is None:
        return []
    movie = _Box("moov", b"", tuple(_boxes(header)))
    if movie.find("mvex") is not None:
        return []  # what is in the fragments is not in these tables
    found = [text for track in movie.inside if track.name == "trak"
             for text in _track_faults(track, movie, path.stat().st_size)]  # fmt: skip
    found += [*_versions(movie), *_misfits(header)]
    return [f"{path} is damaged: its header {text}" for text in dict.fromkeys(found)]


def _header(file: IO[bytes], size: int) -> bytes | None:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, begin = int.from_bytes(head[:4], "big"), 8
        if length == 1:  # a length of 64 bits follows the name
            length, begin = int.from_bytes(head[8:16], "big"), 16
        if head[4:8] == b"moov" and begin <= length <= _LARGEST:
            file.seek(at + begin)
            return file.read(length - begin)
        if length < begin:
            return None
        at += length
    return None


def _boxes(data: bytes, depth: int = _DEEPEST) -> Iterator[_Box]:
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8].decode("latin-1")
        if length < 8:
            return
        content = data[at + 8 : at + length]
        is_parent = depth > 0 and name in _PARENTS
        yield _Box(name, content, tuple(_boxes(content, depth - 1)) if is_parent else ())
        at += length


def _misfits(data: bytes, depth: int = _DEEPEST) -> Iterator[str]:
    """Boxes that do not fill the one they are in, or are of no name."""
    at = 0
    while at + 8 <= len(data):
        length, name = _number(data, at), data[at + 4 : at + 8]
        if length == 0 and not any(data[at:]):
            return  # QuickTime's end of a list, and what is filled up with zeros
        if length < 8 or at + length > len(data) or not _is_name(name) or not depth:
            yield "has boxes that do not fit into one another"
            return
        if name.decode("latin-1") in _PARENTS:
            yield from _misfits(data[at + 8 : at + length], depth - 1)
        at += length


def _is_name(name: bytes) -> bool:
    """Four letters, digits and signs; Apple's begin with a copyright sign."""
    return all(32 <= letter < 127 or letter == 0xA9 for letter in name)


def _versions(parent: _Box) -> Iterator[str]:
    """Boxes that are not as long as their version is."""
    for box in parent.inside:
        if box.name in _SIZES and len(box.data) + 8 != _SIZES[box.name][box.data[:1] == b"\1"]:
            yield "has fields of another length than it says"
        yield from _versions(box)


def _track_faults(track: _Box, movie: _Box, size: int) -> Iterator[str]:
    handler = track.find("hdlr")
    if handler is not None and handler[8:12] not in _TIMED:
        return
    sizes, places = track.find("stsz", "stz2"), track.find("stco", "co64")
    if sizes is None or places is None or any(track.find(name) is None for name in _NEEDED):
        yield "lacks tables that every track has"
        return
    count = _number(sizes, 8)
    durations = _table(track.find("stts"), 2)
    shifts = _table(track.find("ctts"), 2)
    if not count:
        return
    counts = {count, int(durations[:, 0].sum()), _in_chunks(track, places)}
    counts |= {int(shifts[:, 0].sum())} if len(shifts) else set()
    if len(counts) > 1:
        yield f"counts the frames of a track as {' and '.join(map(str, sorted(counts)))}"
    kinds = _number(track.find("stsd") or b"", 4)
    if _table(track.find("stsc"), 3)[:, 2].max(initial=0) > kinds:
        yield "has frames of a kind that it does not describe"
    if _offsets(places, wide=track.find("stco") is None).max(initial=0) >= size:
        yield "has frames behind the end of the file"
    yield from _length_faults(track, movie, durations, shifts)


def _length_faults(
    track: _Box, movie: _Box, durations: np.ndarray, shifts: np.ndarray
) -> Iterator[str]:
    media = track.find("mdhd") or b""
    lasts = float((durations[:, 0].astype(float) * durations[:, 1]).sum())
    says = float(_dated(media, 8))
    longest = float(durations[:, 1].max(initial=0))
    if says and abs(lasts - says) > _ALIKE * says + longest:
        yield "gives a track two lengths"
    moved = np.abs(shifts[:, 1].astype(np.uint32).view(np.int32).astype(float))
    if lasts and moved.max(initial=0) > max(lasts, says) + 32 * longest:
        yield "shows frames at times that the track does not have"
    edits = track.find("elst")
    seconds = lasts / (_dated(media, 4) or 1)
    unit = _dated(movie.find("mvhd") or b"", 4)
    if edits is None or not unit or len(edits) < 12 or edits[0]:
        return
    shown = float(_table(edits, 3)[:, 0].sum()) / unit
    if shown < _SHOWN * seconds:
        yield f"shows {shown:.2f} s of the {seconds:.2f} s of a track"


def _dated(data: bytes, at: int) -> int:
    """A number of ``mvhd`` or ``mdhd`` after its two dates: at 4 the unit, at 8 the length."""
    wide = data[:1] == b"\1"
    if at == 4:
        return _number(data, 20 if wide else 12)
    return int.from_bytes(data[24:32], "big") if wide else _number(data, 16)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _table(data: bytes | None, columns: int) -> np.ndarray:
    """The rows of a table of 32-bit numbers, as many as it says and has."""
    if data is None:
        return np.zeros((0, columns), np.int64)
    count = min(_number(data, 4), (len(data) - 8) // (4 * columns))
    rows = np.frombuffer(data, ">u4", max(0, count) * columns, min(8, len(data)))
    return rows.reshape(-1, columns).astype(np.int64)


def _offsets(data: bytes, *, wide: bool) -> np.ndarray:
    count = min(_number(data, 4), (len(data) - 8) // (8 if wide else 4))
    return np.frombuffer(data, ">u8" if wide else ">u4", max(0, count), min(8, len(data)))


def _in_chunks(track: _Box, places: bytes) -> int:
    """How many frames the chunks hold: rows of (first chunk, frames in each, description)."""
    rows = _table(track.find("stsc"), 3)
    if not len(rows):
        return 0
    ends = np.append(rows[1:, 0], _number(places, 4) + 1)
    return int(((ends - rows[:, 0]) * rows[:, 1]).sum())
