"""What FFmpeg leaves out of MP4 and MOV files: arbitrary tags, and covers in MOV.

Its muxer writes either iTunes tags with covers or QuickTime keys, never both. A file that has just
been written has its ``moov`` box at the end, where boxes can be added without moving anything else
(QuickTime File Format, "Metadata"; keys of type ``mdta``).
"""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

__all__ = ["Extras", "add_extras"]

_TEXT, _PICTURE = 1, {"mjpeg": 13, "png": 14, "bmp": 27}


@dataclasses.dataclass
class Extras:
    """What to add.

    Attributes:
      tags: by key, such as ``com.apple.quicktime.make``.
      covers: (codec, file) of pictures.
    """

    tags: dict[str, str] = dataclasses.field(default_factory=dict)
    covers: list[tuple[str, bytes]] = dataclasses.field(default_factory=list)


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _handler(kind: bytes) -> bytes:
    return _box(b"hdlr", bytes(8), kind, bytes(13))


def _data(kind: int, value: bytes) -> bytes:
    return _box(b"data", struct.pack(">II", kind, 0), value)


def _keys(tags: dict[str, str]) -> bytes:
    names = b"".join(_box(b"mdta", key.encode()) for key in tags)
    items = b"".join(
        _box(struct.pack(">I", number), _data(_TEXT, value.encode()))
        for number, value in enumerate(tags.values(), 1)
    )
    keys = _box(b"keys", struct.pack(">II", 0, len(tags)), names)
    return _box(b"meta", _handler(b"mdta"), keys, _box(b"ilst", items))


def _covers(covers: list[tuple[str, bytes]]) -> bytes:
    pictures = b"".join(_data(_PICTURE[codec], data) for codec, data in covers)
    tags = _box(b"ilst", _box(b"covr", pictures))
    return _box(b"udta", _box(b"meta", bytes(4), _handler(b"mdir"), tags))


def add_extras(path: Path, extras: Extras) -> bool:
    """Adds tags and covers to an MP4 or MOV file that ends with its ``moov`` box.

    Returns:
      Whether it could be done.
    """
    more = (_keys(extras.tags) if extras.tags else b"") + (
        _covers(extras.covers) if extras.covers else b""
    )
    if not more:
        return True
    size = path.stat().st_size
    with path.open("r+b") as file:
        at = 0
        while at < size:
            file.seek(at)
            length, kind = struct.unpack(">I4s", file.read(8))
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            if length < 8:
                return False
            if kind == b"moov" and at + length == size:
                file.seek(at)
                file.write(struct.pack(">I", length + len(more)))
                file.seek(size)
                file.write(more)
                return True
            at += length
    return False
