"""The chain of a NUT file: each packet says how long it is, so that all of them lead to the end.

FFmpeg's demuxer compares no checksum of a frame and passes over what does not add up, where damage
looks like another frame. The format can tell (its specification, "NUT Open Container Format"):
headers, syncpoints and the index are under a CRC-32, as are the heads of long or unexpected frames;
the index at the end says where each syncpoint stands and when the last frame is due.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

from vqe_jax.video.checksums import crc32_forward

__all__ = ["is_nut", "nut_faults"]

_ID = b"nut/multimedia container\0"
_MAIN, _STREAM, _SYNC, _INDEX, _INFO = (
    bytes.fromhex(code)
    for code in (
        "4e4d7a561f5f04ad", "4e5311405bf2f9db", "4e4be4adeeca4569",
        "4e58dd672f23e64e", "4e49ab68b596ba78",
    )
)  # fmt: skip
_PACKETS = (_MAIN, _STREAM, _SYNC, _INDEX, _INFO)
_CODED_PTS, _STREAM_ID, _SIZE_MSB, _CHECKSUM, _RESERVED = 8, 16, 32, 64, 128
_HEADER, _MATCH, _CODED, _INVALID = 1024, 2048, 4096, 8192
# Beyond it a packet's head has a checksum of its own, and a frame no beginning that it shares.
_LONG_PACKET = 4096
_LONGEST_HEAD = 256
_UNIT = 16  # bytes, of places in the index
_WIDEST_TIME = 62  # bits


class _BrokenError(Exception):
    """What was read cannot be."""


@dataclasses.dataclass
class _Code:
    """What one value of a frame's first byte stands for."""

    flags: int
    stream: int
    multiplier: int
    size: int
    step: int
    reserved: int
    header: int


@dataclasses.dataclass
class _Stream:
    base: Fraction
    shift: int  # so many bits of a time are coded
    far: int  # a frame whose time is farther off has a checksum
    last: int = 0


@dataclasses.dataclass
class _Chain:
    """What is known of a file so far.

    Attributes:
      distance: bytes from one syncpoint to the next, at most.
      shared: lengths of the beginnings that frames leave out.
      end: the latest time of a frame.
      broken: places where no packet follows the one before.
      wrong: packets that do not match their checksums.
    """

    distance: int = 0
    bases: list[Fraction] = dataclasses.field(default_factory=list)
    codes: list[_Code] = dataclasses.field(default_factory=list)
    shared: list[int] = dataclasses.field(default_factory=list)
    streams: dict[int, _Stream] = dataclasses.field(default_factory=dict)
    syncpoints: list[int] = dataclasses.field(default_factory=list)
    listed: list[int] | None = None
    end: Fraction = Fraction(-1)
    last_frame: Fraction | None = None
    broken: int = 0
    wrong: int = 0


def is_nut(path: Path) -> bool:
    """Whether a file is NUT, whatever its name."""
    with path.open("rb") as file:
        return file.read(len(_ID)) == _ID


def nut_faults(path: Path) -> list[str]:
    """What a NUT file tells of its own losses, one line a kind; empty for other files."""
    if not is_nut(path):
        return []
    chain = _Chain()
    with path.open("rb") as file:
        _follow(file, path.stat().st_size, chain)
    return [f"{path} is damaged: {text}" for text in _faults(chain)]


def _faults(chain: _Chain) -> Iterator[str]:
    if chain.broken:
        yield f"its packets do not follow one another at {chain.broken} places"
    if chain.wrong:
        yield f"{chain.wrong} of its packets do not match their checksums"
    places = [place // _UNIT for place in chain.syncpoints]
    if chain.listed is not None and chain.listed != places and not chain.broken:
        yield "its index names other places than those where its syncpoints are"
    if chain.last_frame is not None and chain.last_frame != chain.end:
        yield (
            f"its index has the last frame at {float(chain.last_frame):.2f} s, and the last one "
            f"that is there is at {float(chain.end):.2f} s"
        )


def _follow(file: IO[bytes], size: int, chain: _Chain) -> None:
    at = len(_ID)
    while at < size:
        file.seek(at)
        try:
            at = _packet(file, at, size, chain)
        except _BrokenError:
            chain.broken += 1
            at = _next_packet(file, at + 1, size)


def _packet(file: IO[bytes], at: int, size: int, chain: _Chain) -> int:
    """Reads the packet or frame at a place; where the next one begins."""
    head = io.BytesIO(file.read(_LONGEST_HEAD))
    name = head.read(8)
    if name not in _PACKETS:
        head.seek(0)
        end = _frame(head, at, chain)
        if end > size:
            raise _BrokenError
        return end
    length = _number(head)
    if length > _LONG_PACKET:
        head.read(4)
    begin, end = at + head.tell(), at + head.tell() + length
    if end > size or length < 4:
        raise _BrokenError
    file.seek(begin)
    data = file.read(length)
    if crc32_forward(data):  # of what stands before the checksum, and the checksum: zero
        chain.wrong += 1
        if name in (_SYNC, _INFO):
            _note_syncpoint(at, name, chain)
            return end
        raise _BrokenError
    _note_syncpoint(at, name, chain)
    _read(name, io.BytesIO(data[:-4]), chain)
    return end


def _note_syncpoint(at: int, name: bytes, chain: _Chain) -> None:
    if name == _SYNC:
        chain.syncpoints.append(at)


def _read(name: bytes, body: io.BytesIO, chain: _Chain) -> None:
    if name == _MAIN and not chain.codes:
        _read_main(body, chain)
    elif name == _STREAM:
        _read_stream(body, chain)
    elif name == _SYNC:
        now = _time(body, chain)
        for stream in chain.streams.values():
            stream.last = int(now / stream.base)
    elif name == _INDEX:
        chain.last_frame = _time(body, chain)
        chain.listed, place = [], 0
        for _ in range(_number(body)):
            place += _number(body)
            chain.listed.append(place)


def _read_main(body: io.BytesIO, chain: _Chain) -> None:
    version = _number(body)
    if version > 3:
        _number(body)
    _number(body)  # streams
    chain.distance = _number(body)
    chain.bases = [Fraction(_number(body), max(1, _number(body))) for _ in range(_number(body))]
    chain.codes = list(_codes(body))
    chain.shared = [0]
    for _ in range(_number(body)):
        chain.shared.append(_number(body))
        body.read(chain.shared[-1])


def _codes(body: io.BytesIO) -> Iterator[_Code]:
    """The table of all first bytes, which comes in runs; fields left out keep their values."""
    step = stream = header = 0
    multiplier = 1
    made = 0
    while made < 256:
        flags, fields = _number(body), _number(body)
        step = _signed(body) if fields > 0 else step
        multiplier = _number(body) if fields > 1 else multiplier
        stream = _number(body) if fields > 2 else stream
        size = _number(body) if fields > 3 else 0
        reserved = _number(body) if fields > 4 else 0
        count = _number(body) if fields > 5 else multiplier - size
        if fields > 6:
            _signed(body)
        header = _number(body) if fields > 7 else header
        for _ in range(8, fields):
            _number(body)
        if not 1 <= count <= 256 - made - (made <= ord("N")):
            raise _BrokenError
        for _ in range(count):
            if made == ord("N"):
                yield _Code(_INVALID, 0, 0, 0, 0, 0, 0)
                made += 1
            if made < 256:
                yield _Code(flags, stream, multiplier, size, step, reserved, header)
            made, size = made + 1, size + 1


def _read_stream(body: io.BytesIO, chain: _Chain) -> None:
    number = _number(body)
    _number(body)  # class
    body.read(_number(body))
    base, shift, far = _number(body), _number(body), _number(body)
    if base >= len(chain.bases) or not chain.bases[base] or shift > _WIDEST_TIME:
        raise _BrokenError
    chain.streams.setdefault(number, _Stream(chain.bases[base], shift, far))


def _frame(head: io.BytesIO, at: int, chain: _Chain) -> int:
    """Reads the head of a frame; where the frame ends."""
    if not chain.codes or not chain.syncpoints or at > chain.syncpoints[-1] + chain.distance:
        raise _BrokenError
    first = head.read(1)[0]
    code = chain.codes[first]
    flags = code.flags
    if flags & _INVALID:
        raise _BrokenError
    flags ^= _number(head) if flags & _CODED else 0
    stream = chain.streams.get(_number(head) if flags & _STREAM_ID else code.stream)
    if stream is None:
        raise _BrokenError
    time = stream.last + code.step
    if flags & _CODED_PTS:
        time = _full_time(_number(head), stream)
    size = code.size + (code.multiplier * _number(head) if flags & _SIZE_MSB else 0)
    if flags & _MATCH:
        _signed(head)
    header = _number(head) if flags & _HEADER else code.header
    for _ in range(_number(head) if flags & _RESERVED else code.reserved):
        _number(head)
    if header >= len(chain.shared):
        raise _BrokenError
    left_out = 0 if size > _LONG_PACKET else chain.shared[header]
    if flags & _CHECKSUM:
        read = head.tell()
        if crc32_forward(head.getvalue()[: read + 4]):
            raise _BrokenError
        head.seek(4, io.SEEK_CUR)
    elif size > 2 * chain.distance or abs(time - stream.last) > stream.far:
        raise _BrokenError
    if size < left_out:
        raise _BrokenError
    stream.last = time
    chain.end = max(chain.end, time * stream.base)
    return at + head.tell() + size - left_out


def _full_time(coded: int, stream: _Stream) -> int:
    """A time of which the lower bits are coded: the one closest to the last; or a whole one."""
    whole = 1 << stream.shift
    if coded >= whole:
        return coded - whole
    nearest = stream.last - (whole - 1) // 2
    return (coded - nearest) % whole + nearest


def _time(body: io.BytesIO, chain: _Chain) -> Fraction:
    coded, count = _number(body), len(chain.bases)
    if not count:
        raise _BrokenError
    return coded // count * chain.bases[coded % count]


def _number(data: io.BytesIO) -> int:
    """Seven bits a byte, the higher ones first."""
    value = 0
    for _ in range(10):
        byte = data.read(1)
        if not byte:
            break
        value = value << 7 | byte[0] & 0x7F
        if byte[0] < 0x80:
            return value
    raise _BrokenError


def _signed(data: io.BytesIO) -> int:
    value = _number(data) + 1
    return -(value >> 1) if value & 1 else value >> 1


def _next_packet(file: IO[bytes], at: int, size: int) -> int:
    """Where the next packet that is no frame begins; the end of the file where none does."""
    kept = b""
    file.seek(at)
    while data := file.read(1 << 16):
        data = kept + data
        found = [place for name in _PACKETS if (place := data.find(name)) >= 0]
        if found:
            return at + min(found)
        kept = data[-7:]
        at += len(data) - len(kept)
    return size
