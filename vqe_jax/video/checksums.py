"""Checksums and counts that some files carry and FFmpeg passes over.

Pictures of MPEG-1 and MPEG-2 count from 0 in each group (ISO 13818-2, temporal_reference).
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

__all__ = ["MpegPlaces", "crc32_forward", "ends_in_zeros"]

_GROUP, _PICTURE, _TOP_ROW = 0xB8, 0x00, 0x01
_START_CODE = re.compile(rb"\x00\x00\x01([\x00\x01\xb8])(..)", re.DOTALL)
_TAIL = 64
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc32_forward(data: bytes) -> int:
    """The CRC-32 of NUT and Ogg, which take the highest bit first, and begin and end without -1.

    Of data with this checksum behind it: 0.
    """
    mirrored = zlib.crc32(data.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


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
