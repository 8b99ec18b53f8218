"""Finds out that a container file was cut short, before hours are spent on it.

FFmpeg plays what is there of a Matroska or MP4 file and ends without an error. Both formats say
at the outermost level how long they are: the Matroska segment (RFC 9559, section 5.1), the
boxes of ISO 14496-12 (section 4.2), the RIFF chunk of AVI, the header of ASF. A transport stream
consists of packets of one size (ISO 13818-1: 188 bytes, 192 with Blu-ray's time codes, 204 with
error correction).
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from vqe_jax.video.asf import asf_end
from vqe_jax.video.nut import is_nut
from vqe_jax.video.transport import packet_size

__all__ = ["bytes_missing", "has_no_end"]

_NUT_INDEX = bytes.fromhex("4e58dd672f23e64e")
_FLV_TAGS = (b"\x08", b"\x09", b"\x12")
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def bytes_missing(path: Path) -> int:
    """How many bytes a file is short of what it says; 0 where it says nothing.

    Matroska, WebM, MP4, MOV, AVI, ASF, and the last packet of transport streams.

    Args:
      path: the file; other formats, and files written as a live stream, count as whole.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(12)
        file.seek(0)
        if start[:4] == _EBML:
            end = _matroska_end(file)
        elif start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            end = _boxes_end(file, size)
        elif start[:4] == b"RIFF" and start[8:12] == b"AVI ":
            end = 8 + int.from_bytes(start[4:8], "little")
        elif packet := packet_size(file)[0]:
            end = -(-size // packet) * packet
        else:
            end = asf_end(file)
    return max(0, end - size)


def has_no_end(path: Path) -> bool:
    """Whether a NUT or FLV file lacks what a finished one ends with; False for other files.

    NUT has an index there whose length stands in its last bytes, FLV the size of its last tag.
    A stream that was recorded live may lack them, too.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(3)
        if is_nut(path) and size > 64:
            file.seek(size - 12)
            length = int.from_bytes(file.read(8), "big")
            file.seek(max(0, size - length))
            return length > size or file.read(8) != _NUT_INDEX
        if start == b"FLV" and size > 64:
            file.seek(size - 4)
            length = int.from_bytes(file.read(4), "big")
            file.seek(max(0, size - 4 - length))
            return length > size or file.read(1) not in _FLV_TAGS
    return False


def _variable_length(file: IO[bytes]) -> int | None:
    """An EBML element size; None for the value that means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    mask = (1 << (7 * length)) - 1
    value = int.from_bytes(first + file.read(length - 1), "big") & mask
    return None if value == mask else value


def _matroska_end(file: IO[bytes]) -> int:
    file.seek(len(_EBML))
    header = _variable_length(file)
    if header is None:
        return 0
    file.seek(header, 1)
    if file.read(len(_SEGMENT)) != _SEGMENT:
        return 0
    segment = _variable_length(file)
    return 0 if segment is None else file.tell() + segment


def _boxes_end(file: IO[bytes], size: int) -> int:
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # zero: this box runs to the end of the file
            return 0
        at += length
    return at
