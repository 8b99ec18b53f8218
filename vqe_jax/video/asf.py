"""The packets of an ASF file (.wmv, .asf), all of one size, and the frames that fill them.

The header says how many bytes and packets there are. The pieces of a frame carry its number, which
counts on from frame to frame of a stream, its length, and where in it they belong ("Advanced
Systems Format Specification", sections 3.2 and 5.2). FFmpeg's demuxer asks for none of it.
"""

from __future__ import annotations

import collections
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

__all__ = ["asf_end", "asf_faults"]

_HEADER, _PROPERTIES, _DATA = (
    bytes.fromhex(name)
    for name in (
        "3026b2758e66cf11a6d900aa0062ce6c",
        "a1dcab8c47a9cf118ee400c00c205365",
        "3626b2758e66cf11a6d900aa0062ce6c",
    )
)
_OBJECT, _HEADER_SIZE, _DATA_SIZE = 24, 30, 50  # bytes of what objects begin with
_LIVE = 1  # flag: the numbers in the header say nothing
_BYTES = (0, 1, 2, 4)  # of a number, by two bits


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Where the packets are: the bytes of the whole file, the number and size of packets."""

    end: int
    begin: int
    count: int
    packet: int


@dataclasses.dataclass
class _Object:
    """The frame of a stream that is being put together, and how much of it is there."""

    number: int
    size: int
    have: int


@dataclasses.dataclass
class _Seen:
    damaged: int = 0
    missing: int = 0
    torn: int = 0
    streams: dict[int, _Object] = dataclasses.field(default_factory=dict)
    frames: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)


class _BrokenError(Exception):
    """What was read cannot be a packet."""


def asf_end(file: IO[bytes]) -> int:
    """How many bytes an ASF file should have; 0 where it does not say, and of other files."""
    layout = _layout(file)
    return layout.end if layout else 0


def asf_faults(path: Path, stream: int = 0, packets: int = 0) -> list[str]:
    """What an ASF file tells of its own losses, one line a kind; empty for other files.

    Args:
      stream: number of the video.
      packets: as FFmpeg found them, which looks for pictures anew in what the frames hold.
    """
    with path.open("rb") as file:
        layout = _layout(file)
        if layout is None or not layout.packet:
            return []
        if layout.packet < 0:
            return [f"{path} is damaged: its header gives its packets two sizes"]
        seen = _Seen()
        count = min(layout.count, max(0, path.stat().st_size - layout.begin) // layout.packet)
        file.seek(layout.begin if count else 0)
        for _ in range(count):
            try:
                _read_packet(io.BytesIO(file.read(layout.packet)), seen)
            except (_BrokenError, IndexError):
                seen.damaged += 1
    seen.torn += sum(part.have != part.size for part in seen.streams.values())
    joined = seen.frames[stream] - packets
    return [f"{path} is damaged: {text}" for text in _faults(seen, joined if stream else 0)]


def _faults(seen: _Seen, joined: int) -> Iterator[str]:
    if joined > 0:
        yield f"{joined} of its frames do not begin as frames do"
    if seen.damaged:
        yield f"{seen.damaged} of its packets are none"
    if seen.missing:
        yield f"{seen.missing} or more of its frames and sounds are missing, as they are counted"
    if seen.torn:
        yield f"{seen.torn} of its frames and sounds are not whole"


def _layout(file: IO[bytes]) -> _Layout | None:
    file.seek(0)
    start = file.read(_HEADER_SIZE)
    if start[:16] != _HEADER:
        return None
    begin = int.from_bytes(start[16:24], "little")
    header = start + file.read(max(0, min(begin, 1 << 24) - len(start)))
    at, end, count, packet = _HEADER_SIZE, 0, 0, 0
    while at + _OBJECT <= len(header):
        size = int.from_bytes(header[at + 16 : at + 24], "little")
        fields = header[at + _OBJECT : at + size]
        if header[at : at + 16] == _PROPERTIES and len(fields) >= 80:
            flags, smallest, largest = (
                int.from_bytes(fields[n : n + 4], "little") for n in (64, 68, 72)
            )
            if not flags & _LIVE:
                end, packet = int.from_bytes(fields[16:24], "little"), smallest
                packet = packet if smallest == largest else -1
        if size < _OBJECT:
            break
        at += size
    data = file.read(_DATA_SIZE) if len(header) == begin else b""
    if packet and data[:16] == _DATA:
        count = int.from_bytes(data[40:48], "little")
    return _Layout(end, begin + _DATA_SIZE, count, packet)


def _number(data: io.BytesIO, kind: int) -> int:
    length = _BYTES[kind & 3]
    read = data.read(length)
    if len(read) < length:
        raise _BrokenError
    return int.from_bytes(read, "little")


def _read_packet(data: io.BytesIO, seen: _Seen) -> None:
    size = len(data.getvalue())
    flags = _number(data, 1)
    if flags & 0x80:  # of error correction, which nobody uses
        data.seek(flags & 0xF, io.SEEK_CUR)
        flags = _number(data, 1)
    kinds = _number(data, 1)
    length = _number(data, flags >> 5) or size
    _number(data, flags >> 1)
    padding = _number(data, flags >> 3)
    data.seek(6, io.SEEK_CUR)  # when it is to be sent
    end = min(size, length) - padding
    if end < data.tell() or length > size:
        raise _BrokenError
    if not flags & 1:
        _read_piece(data, kinds, end, seen)
        return
    pieces = _number(data, 1)
    for _ in range(pieces & 0x3F):
        _read_piece(data, kinds, end, seen, length_kind=pieces >> 6)


def _read_piece(
    data: io.BytesIO, kinds: int, end: int, seen: _Seen, length_kind: int | None = None
) -> None:
    """One piece of a frame; without a length it fills the packet."""
    stream = _number(data, 1) & 0x7F
    if not stream:
        raise _BrokenError
    number = _number(data, kinds >> 4)
    offset = _number(data, kinds >> 2)
    more = _number(data, kinds)
    about = data.read(more)
    length = end - data.tell() if length_kind is None else _number(data, length_kind)
    data.seek(length, io.SEEK_CUR)
    if data.tell() > end or len(about) < more or length < 0:
        raise _BrokenError
    if more < 8:  # several small ones in one piece, numbered otherwise
        seen.streams.pop(stream, None)
        return
    _note(seen, stream, _Object(number, int.from_bytes(about[:4], "little"), length), offset,
          1 << 8 * _BYTES[kinds >> 4 & 3])  # fmt: skip


def _note(seen: _Seen, stream: int, piece: _Object, offset: int, numbers: int) -> None:
    before = seen.streams.get(stream)
    if before and before.number == piece.number and offset:
        seen.torn += offset != before.have or piece.size != before.size
        before.have = offset + piece.have
        return
    if before:
        seen.torn += before.have != before.size
        seen.missing += (piece.number - before.number - 1) % numbers
    seen.torn += offset > 0
    seen.frames[stream] += 1
    seen.streams[stream] = dataclasses.replace(piece, have=offset + piece.have)
