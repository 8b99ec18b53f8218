"""The chain of an FLV file: each tag is followed by its length (Adobe's specification, annex E)."""

from __future__ import annotations

from pathlib import Path

__all__ = ["broken_tags"]

_KINDS = (8, 9, 18)  # sound, picture, data
_HEAD, _AFTER = 11, 4
# The header of H.264 in a tag of its own; what follows begins with its version, 1.
_PICTURE, _AVC_HEADER = 9, (b"\x17\0", b"\x27\0")


def broken_tags(path: Path) -> int:
    """At how many places the tags of an FLV file do not follow one another; 0 of other files."""
    size, broken = path.stat().st_size, 0
    with path.open("rb") as file:
        start = file.read(9)
        if start[:3] != b"FLV":
            return 0
        at = int.from_bytes(start[5:9], "big") + _AFTER
        while at + _HEAD <= size:
            file.seek(at)
            head, body = file.read(_HEAD), file.read(6)
            length = _HEAD + int.from_bytes(head[1:4], "big")
            file.seek(at + length)
            after = int.from_bytes(file.read(_AFTER), "big")
            strange = head[0] & 0x1F not in _KINDS or any(head[8:])  # of streams there is one
            strange |= head[0] == _PICTURE and body[:2] in _AVC_HEADER and body[5:] != b"\1"
            if strange or after not in (length, length - _HEAD):
                broken += 1  # some writers leave the head out of the count
            at += length + _AFTER
    return broken
