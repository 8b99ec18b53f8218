"""The pages of an Ogg file (RFC 3533): each has a checksum and counts on from the one before it.

FFmpeg's demuxer looks for the next page where one does not match, and says nothing of those that
are missing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from vqe_jax.video.checksums import crc32_forward

__all__ = ["ogg_faults"]

_NAME, _HEAD = b"OggS", 27
_LAST = 4  # flag of a stream's last page


@dataclasses.dataclass
class _Pages:
    """What was seen: damaged and missing pages, bytes between pages, whether streams have ended."""

    wrong: int = 0
    missing: int = 0
    stray: int = 0
    counts: dict[int, int] = dataclasses.field(default_factory=dict)
    ended: dict[int, bool] = dataclasses.field(default_factory=dict)


def ogg_faults(path: Path) -> list[str]:
    """What an Ogg file tells of its own losses, one line a kind; empty for other files."""
    found = _Pages()
    with path.open("rb") as file:
        if file.read(4) != _NAME:
            return []
        at, size = 0, path.stat().st_size
        while at < size:
            file.seek(at)
            page = _page(file)
            if page and not crc32_forward(page[:22] + bytes(4) + page[26:] + page[25:21:-1]):
                _note(found, page)
                at += len(page)
                continue
            found.wrong += page is not None
            after = _next_page(file, at + 1, size)
            found.stray += after - at
            at = after
    return [f"{path} {text}" for text in _faults(found)]


def _faults(found: _Pages) -> Iterator[str]:
    if found.stray:
        yield (
            f"is damaged: {found.wrong} of its pages do not match their checksums, and "
            f"{found.stray} bytes belong to none"
        )
    if found.missing:
        yield f"is damaged: {found.missing} of its pages are missing, as the others are counted"
    if not all(found.ended.values()):
        yield "has no proper end; is it cut short?"


def _page(file: IO[bytes]) -> bytes | None:
    """The page that begins here, as long as it says; None where there is none, or its end."""
    head = file.read(_HEAD)
    if len(head) < _HEAD or head[:4] != _NAME:
        return None
    lengths = file.read(head[26])
    length = sum(lengths)
    body = file.read(length)
    return head + lengths + body if len(body) == length else None


def _note(found: _Pages, page: bytes) -> None:
    stream, count = int.from_bytes(page[14:18], "little"), int.from_bytes(page[18:22], "little")
    found.missing += max(0, count - found.counts.get(stream, -1) - 1)
    found.counts[stream] = count
    found.ended[stream] = bool(page[5] & _LAST)


def _next_page(file: IO[bytes], at: int, size: int) -> int:
    """Where the next page begins; the end of the file where none does."""
    kept = b""
    file.seek(at)
    while data := file.read(1 << 16):
        data = kept + data
        if (found := data.find(_NAME)) >= 0:
            return at + found
        kept = data[-3:]
        at += len(data) - len(kept)
    return size
