"""Checksums and counts that some files carry and FFmpeg passes over.

Elements at the top of a Matroska segment may begin with a CRC-32 of what follows in them (RFC 9559,
section 6.2; FFmpeg writes it for all of them). Pictures of MPEG-1 and MPEG-2 count from 0 in each
group (ISO 13818-2, temporal_reference).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["MpegPlaces", "ends_in_zeros", "wrong_checksums"]

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_CRC = b"\xbf\x84"
_CHUNK = 1 << 22
_GROUP, _PICTURE, _TOP_ROW = 0xB8, 0x00, 0x01
_START_CODE = re.compile(rb"\x00\x00\x01([\x00\x01\xb8])(..)", re.DOTALL)
_TAIL = 64


def _number(file: IO[bytes], *, marker: bool) -> tuple[int, bytes] | None:
    """An EBML variable-length number and its bytes; None at the end, or where it is unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    data = first + file.read(length - 1)
    value, mask = int.from_bytes(data, "big"), (1 << (7 * length)) - 1
    if len(data) < length or (not marker and value & mask == mask):
        return None
    return (value if marker else value & mask), data


def _crc(file: IO[bytes], size: int) -> int:
    value = 0
    while size > 0 and (data := file.read(min(size, _CHUNK))):
        value, size = zlib.crc32(data, value), size - len(data)
    return value


def _elements(file: IO[bytes], end: int) -> Iterator[tuple[int, int]]:
    """Where the contents of a segment's elements begin, and how long they are."""
    while file.tell() < end:
        name = _number(file, marker=True)
        size = _number(file, marker=False)
        if name is None or size is None:
            return
        at = file.tell()
        yield at, size[0]
        file.seek(at + size[0])


def wrong_checksums(path: Path) -> int:
    """How many parts of a Matroska or WebM file do not match their checksums; 0 of other files."""
    wrong, end = 0, path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != _EBML or (header := _number(file, marker=False)) is None:
            return 0
        file.seek(header[0], 1)
        if file.read(4) != _SEGMENT:
            return 0
        _number(file, marker=False)
        for at, size in _elements(file, end):
            head = file.read(6)
            if head[:2] == _CRC and at + size <= end:
                wrong += _crc(file, size - 6) != int.from_bytes(head[2:], "little")
    return wrong


class MpegPlaces:
    """Counts pictures of MPEG-1 and MPEG-2 that are lost.

    By their places in the groups, and by headers after which no picture comes.
    """

    def __init__(self) -> None:
        self._places = set[int]()
        self._empty = False
        self._missing = 0

    def see(self, data: bytes) -> None:
        """A packet of the stream, of one picture or more; in coding order."""
        for match in _START_CODE.finditer(data):
            if match[1][0] == _TOP_ROW:
                self._empty = False
                continue
            self._missing += self._empty
            if empty := match[1][0] == _PICTURE:
                self._places.add(int.from_bytes(match[2], "big") >> 6)
            else:
                self._missing += self._holes()
                self._places = set()
            self._empty = empty

    def missing(self) -> int:
        """How many so far."""
        return self._missing + self._empty + self._holes()

    def _holes(self) -> int:
        return max(self._places, default=-1) + 1 - len(self._places)


def ends_in_zeros(path: Path) -> bool:
    """Whether nothing but zeros stands at the end: room that an unfinished download keeps free."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _TAIL))
        tail = file.read()
    return len(tail) == _TAIL and not any(tail)
