"""What transport streams and program streams tell of their own losses (ISO 13818-1).

Every packet of a transport stream begins with a sync byte and counts on from the one before it of
the same stream, modulo 16; a receiver marks what it could not mend. The packets of a program
stream (``.mpg``, ``.vob``) say how long they are, so that each leads to the next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

__all__ = ["packet_size", "stream_faults"]

_SYNC, _SYNC_PACKETS = 0x47, 5
_CHUNK = 1 << 15  # packets
_TABLES, _NOTHING = 0x20, 0x1FFF  # streams of tables come before the first, nothing is in the last
_PACK, _END, _FIRST_STREAM = 0xBA, 0xB9, 0xBB
_PROGRAM = b"\x00\x00\x01\xba"


@dataclasses.dataclass
class _Transport:
    damaged: int = 0
    missing: int = 0
    places: int = 0
    scrambled: int = 0
    stray: int = 0  # bytes that belong to no packet
    last: dict[int, tuple[int, bytes]] = dataclasses.field(default_factory=dict)
    begun: dict[int, list[int]] = dataclasses.field(default_factory=dict)

    def headless(self) -> int:
        """Packets that should begin a picture or sound, as others of their stream do, and do not.

        Streams of tables begin otherwise, all of them.
        """
        return sum(without for with_code, without in self.begun.values() if with_code > without)


def packet_size(file: IO[bytes]) -> tuple[int, int]:
    """Of a transport stream: 188, 192 or 204, and where its sync byte stands; zeros of others."""
    file.seek(0)
    start = file.read(_SYNC_PACKETS * 204 + 4)
    for size, first in ((188, 0), (192, 4), (204, 0)):
        marks = start[first::size]
        if len(marks) >= 2 and set(marks[:_SYNC_PACKETS]) == {_SYNC}:
            return size, first
    return 0, 0


def stream_faults(path: Path) -> list[str]:
    """What a transport or program stream has lost, one line a kind; empty for other files."""
    with path.open("rb") as file:
        size, first = packet_size(file)
        file.seek(0)
        if size:
            return [f"{path}: {text}" for text in _transport(file, size, first)]
        if file.read(4) == _PROGRAM:
            return [f"{path}: {text}" for text in _program(file, path.stat().st_size)]
    return []


def _transport(file: IO[bytes], size: int, first: int) -> Iterator[str]:
    found, rest = _Transport(), b""
    while chunk := file.read(_CHUNK * size):
        rest = _count(found, rest + chunk, size, first, last=len(chunk) < _CHUNK * size)
    found.damaged += found.headless()
    if found.damaged or found.stray:
        strays = f" and {found.stray} bytes belong to none" if found.stray else ""
        yield f"{found.damaged} transport packets are damaged{strays}"
    if found.missing:
        yield (
            f"the count of its transport packets breaks at {found.places} places: "
            f"{found.missing} or more are missing, or recordings were joined there"
        )
    if found.scrambled:
        yield f"{found.scrambled} transport packets are scrambled; decrypt the recording first"


def _count(found: _Transport, data: bytes, size: int, first: int, *, last: bool) -> bytes:
    """Counts the packets of some bytes; what comes after the last whole one."""
    at = 0
    while len(data) - at >= size:
        rows = np.frombuffer(data, np.uint8, (len(data) - at) // size * size, at).reshape(-1, size)
        sound = rows[:, first] == _SYNC
        lost = np.flatnonzero(~sound[:-1] & ~sound[1:])  # two in a row: packets begin elsewhere
        end = int(lost[0]) if len(lost) else len(rows)
        if end == len(rows) - 1 and not sound[-1] and last:
            end = len(rows)
        _count_rows(found, rows[:end, first:], sound[:end])
        at += end * size
        if end == len(rows):
            break
        begin = _next_packet(data, at + 1, size, first)
        if begin is None:
            found.stray += len(data) - at
            return b""
        found.stray += begin - at
        at = begin
    return data[at:]


def _next_packet(data: bytes, at: int, size: int, first: int) -> int | None:
    """Where packets begin again: some in a row, as far as the bytes reach."""
    while (at := data.find(_SYNC, at + first) - first) >= 0:
        marks = data[at + first :: size][:_SYNC_PACKETS]
        if set(marks) == {_SYNC}:
            return at
        at += 1
    return None


def _count_rows(found: _Transport, rows: np.ndarray, sound: np.ndarray) -> None:
    marked = (rows[:, 1] & 0x80) != 0
    found.damaged += int(np.count_nonzero(~sound | marked))
    rows = rows[sound & ~marked]
    names = (rows[:, 1].astype(np.int64) & 0x1F) << 8 | rows[:, 2]
    holds = (rows[:, 3] & 0x10 != 0) & (names >= _TABLES) & (names != _NOTHING)
    found.scrambled += int(np.count_nonzero(holds & (rows[:, 3] & 0xC0 != 0)))
    restarts = (rows[:, 3] & 0x20 != 0) & (rows[:, 4] > 0) & (rows[:, 5] & 0x80 != 0)
    for name in np.unique(names[holds]):
        of_it = holds & (names == name)
        _follow(found, int(name), rows[of_it], restarts[of_it])


def _follow(found: _Transport, name: int, rows: np.ndarray, restarts: np.ndarray) -> None:
    """The counters of one stream; a packet may be sent twice."""
    counters = (rows[:, 3] & 0xF).astype(np.int64)
    before, packet = found.last.get(name, (int(counters[0]) - 1, b""))
    steps = np.diff(counters, prepend=before) - 1 & 15
    for i in np.flatnonzero((steps != 0) & ~restarts):
        twin = rows[i - 1].tobytes() if i else packet
        if steps[i] == 15 and twin == rows[i].tobytes():
            continue
        found.missing += int(steps[i])
        found.places += 1
    found.last[name] = int(counters[-1]), rows[-1].tobytes()
    begun = found.begun.setdefault(name, [0, 0])
    for row in rows[rows[:, 1] & 0x40 != 0]:
        at = 5 + int(row[4]) if row[3] & 0x20 else 4
        begun[row[at : at + 3].tobytes() != b"\0\0\1"] += 1


def _program(file: IO[bytes], size: int) -> Iterator[str]:
    broken, at = 0, 0
    while at < size:
        file.seek(at)
        head = file.read(14)
        length = _program_packet(head)
        if length and at + length > size:
            yield f"its last packet is cut short: {at + length - size} bytes are missing"
        if not length:
            if not head.strip(b"\0"):  # room at the end of a disc's sector
                at += len(head)
                continue
            broken += 1
            length = _to_next_code(file, at + 1) - at
        at += length
    if broken:
        yield f"its packets do not follow one another at {broken} places"


def _program_packet(head: bytes) -> int:
    """How long a packet is; 0 where there is none."""
    if len(head) < 4 or head[:3] != b"\0\0\1" or head[3] < _END:
        return 0
    if head[3] == _END:
        return 4
    if head[3] >= _FIRST_STREAM:
        return 6 + int.from_bytes(head[4:6], "big")
    if len(head) < 14:
        return 14
    return 14 + (head[13] & 7) if head[4] >> 6 == 1 else 12  # MPEG-2, MPEG-1


def _to_next_code(file: IO[bytes], at: int) -> int:
    """Where the next pack begins; the end of the file where none does."""
    file.seek(at)
    kept = b""
    while data := file.read(1 << 16):
        if (found := (kept + data).find(_PROGRAM)) >= 0:
            return at - len(kept) + found
        at, kept = at + len(data), data[-3:]
    return at
