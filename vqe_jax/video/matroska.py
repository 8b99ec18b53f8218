"""What a Matroska or WebM file tells of its own losses, and FFmpeg's demuxer passes over.

Elements at the top of the segment may begin with a CRC-32 of what follows in them (RFC 9559,
section 6.2; FFmpeg writes it into Matroska, not into WebM). A cluster holds blocks of the tracks
that the header names, and little else: where damage makes something else of a block, a reader takes
it for an element of the future.
"""

from __future__ import annotations

import dataclasses
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["matroska_faults"]

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_CLUSTER, _TRACKS, _TRACK, _TRACK_NUMBER = 0x1F43B675, 0x1654AE6B, 0xAE, 0xD7
_SIMPLE_BLOCK, _GROUP, _BLOCK = 0xA3, 0xA0, 0xA1
_CRC, _VOID = 0xBF, 0xEC
# Clusters, tracks, seek head, information, cues, tags, chapters, attachments.
_PARTS = (_CLUSTER, _TRACKS, 0x114D9B74, 0x1549A966, 0x1C53BB6B, 0x1254C367, 0x1043A770, 0x1941A469)
# Of a cluster: its time, its place, the size of the one before; and tracks that are silent in it.
_NUMBERS, _SILENT = (0xE7, 0xA7, 0xAB), 0x5854
_LONGEST = 8  # bytes of a number
_CHUNK = 1 << 22


@dataclasses.dataclass
class _Seen:
    wrong: int = 0
    strange: int = 0
    tracks: set[int] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True)
class _Element:
    """Where its contents are; ``size`` is None where the file was written as a live stream."""

    name: int
    at: int
    size: int | None


def matroska_faults(path: Path) -> list[str]:
    """One line a kind; empty for other files."""
    seen, end = _Seen(), path.stat().st_size
    with path.open("rb") as file:
        header = _element(file)
        if header is None or header.name != _EBML or header.size is None:
            return []
        file.seek(min(header.at + header.size, end))
        segment = _element(file)
        if segment is None or segment.name != _SEGMENT:
            return []
        _read_segment(file, min(end, segment.at + (segment.size or end)), seen)
    return [f"{path} is damaged: {text}" for text in _faults(seen)]


def _faults(seen: _Seen) -> Iterator[str]:
    if seen.wrong:
        yield f"{seen.wrong} of its parts do not match their checksums"
    if seen.strange:
        yield f"{seen.strange} things stand between its frames that should not be there"


def _read_segment(file: io.BufferedReader, end: int, seen: _Seen) -> None:
    while file.tell() < end:
        part = _element(file)
        if part is None or (part.size is None and part.name != _CLUSTER):
            seen.strange += 1
            return
        after = end if part.size is None else part.at + part.size
        if after <= end:
            _compare(file, part, seen)
        if part.name == _TRACKS:
            seen.tracks |= set(_track_numbers(file, part))
        elif part.name == _CLUSTER:
            _read_cluster(file, min(end, after), seen)
            seen.strange += part.size is not None and file.tell() != after <= end
        else:
            seen.strange += part.name not in (*_PARTS, _CRC, _VOID)
        if part.size is not None:
            file.seek(min(after, end))


def _compare(file: io.BufferedReader, part: _Element, seen: _Seen) -> None:
    """The checksum of a part that begins with one."""
    first = _element(file)
    if first and first.name == _CRC and first.size == 4:
        expected = int.from_bytes(file.read(4), "little")
        size = part.at + (part.size or 0) - file.tell()
        seen.wrong += _crc(file, size) != expected
    file.seek(part.at)


def _track_numbers(file: io.BufferedReader, tracks: _Element) -> Iterator[int]:
    for track in _children(file, tracks):
        if track.name == _TRACK:
            for field in _children(file, track):
                if field.name == _TRACK_NUMBER:
                    yield int.from_bytes(file.read(field.size or 0), "big")


def _children(file: io.BufferedReader, parent: _Element) -> Iterator[_Element]:
    end = parent.at + (parent.size or 0)
    file.seek(parent.at)
    while file.tell() < end and (child := _element(file)) and child.size is not None:
        yield child
        file.seek(min(child.at + child.size, end))


def _read_cluster(file: io.BufferedReader, end: int, seen: _Seen) -> None:
    """To its end, or where it has none to the next part of the segment."""
    while (begin := file.tell()) < end:
        part = _element(file)
        if part and part.name in _PARTS:
            file.seek(begin)
            return
        if part is None or part.size is None:
            seen.strange += 1
            return
        seen.strange += not _belongs(file, part, seen)
        file.seek(min(part.at + part.size, end))


def _belongs(file: io.BufferedReader, part: _Element, seen: _Seen) -> bool:
    """Whether an element may stand in a cluster."""
    if part.name == _GROUP:
        blocks = [child for child in _children(file, part) if child.name == _BLOCK]
        if len(blocks) != 1:
            return False
        file.seek(blocks[0].at)
    elif part.name != _SIMPLE_BLOCK:
        return part.name in (_CRC, _VOID, _SILENT) or (
            part.name in _NUMBERS and (part.size or 0) <= _LONGEST
        )
    track = _number(file, marker=False)
    return track is not None and (track in seen.tracks or not seen.tracks)


def _element(file: io.BufferedReader) -> _Element | None:
    """Reads the name and size of an element; None at the end, and where there is none."""
    name = _number(file, marker=True)
    first = file.peek(1)[:1]
    size = _number(file, marker=False)
    if name is None or not first or not first[0]:
        return None
    return _Element(name, file.tell(), size)


def _number(file: io.BufferedReader, *, marker: bool) -> int | None:
    """An EBML variable-length number; None at the end, or where it says that it is unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    data = first + file.read(length - 1)
    value, mask = int.from_bytes(data, "big"), (1 << (7 * length)) - 1
    if len(data) < length or (not marker and value & mask == mask):
        return None
    return value if marker else value & mask


def _crc(file: io.BufferedReader, size: int) -> int:
    value = 0
    while size > 0 and (data := file.read(min(size, _CHUNK))):
        value, size = zlib.crc32(data, value), size - len(data)
    return value
