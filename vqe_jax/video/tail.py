"""Whether a stream breaks off within its last picture, where no container says how long it is.

A slice of H.264 or H.265 says itself where it ends, in its coded data: what follows in the packet
means nothing. So the last picture is decoded with one thing and with another appended. The same
pictures: it is whole. Different ones: the decoder read on into what was appended. And where much
of its end can be replaced without effect, something else has taken the place of pictures. Those of
MPEG-1 and MPEG-2 have slices for each row of macroblocks, whose number is in the start code.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import cast

import av
import numpy as np

from vqe_jax.video.log import captured
from vqe_jax.video.planes import from_av_frame

__all__ = ["no_whole_picture_at_the_end"]

# Whether the first byte of a NAL unit says that it is part of a picture.
_SLICES: dict[str, Callable[[int], bool]] = {
    "h264": lambda head: 1 <= head & 31 <= 5,
    "hevc": lambda head: head >> 1 & 63 < 32,
}
# No start code is in them; each leads an entropy decoder elsewhere.
_APPENDED = (
    b"\xff" * 256,
    b"\x55" * 256,
    bytes(range(7, 250, 3)) * 3,
    bytes(range(249, 6, -5)) * 5,
)
_MUCH = 40  # bytes at the end of a slice that cannot all be without effect
_NEAR = 4096  # bytes before the end in which a start code that is damaged is looked for
_PADDING = re.compile(rb"(\x00\x00\x03)+$")
_SOME = 3  # pictures before the last tell how many slices each has
_UNIT = re.compile(rb"\x00\x00\x01(.)", re.DOTALL)
_ROW = re.compile(rb"\x00\x00\x01([\x01-\xaf])")
_STRUCTURE = re.compile(rb"\x00\x00\x01\xb5[\x80-\x8f].(.)", re.DOTALL)  # ISO 13818-2, 6.2.3.1
_ROW_HEIGHT, _TALL = 16, 2800  # of taller pictures a row's number takes more than that byte


def no_whole_picture_at_the_end(codec: str, height: int, tail: Sequence[bytes]) -> bool:
    """Whether a stream of H.264, H.265, MPEG-1 or MPEG-2 breaks off within a picture.

    Args:
      codec: FFmpeg's name; of others nothing is known.
      height: of the pictures.
      tail: the last packets in coding order, best from a key frame on.
    """
    if not tail:
        return False
    if codec in _SLICES:
        return _slice_is_broken(codec, tail)
    if codec not in ("mpeg1video", "mpeg2video"):
        return False
    return _rows_missing(tail[-1], height) or _is_the_first_bad(_decoded(codec, tail))


def _slice_is_broken(codec: str, stream: Sequence[bytes]) -> bool:
    last = stream[-1].rstrip(b"\0")
    begin = last.rfind(b"\0\0\1") + 3
    if begin < 3:
        return False
    if begin >= len(last) - 1:
        return True  # a start code, and next to nothing that it starts
    layer = (last[begin] & 1) << 5 | last[begin + 1] >> 3 if codec == "hevc" else 0
    if not _SLICES[codec](last[begin]) or layer:
        return False  # something else comes after the picture, or a layer that is not decoded
    if _has_damaged_start(codec, last[begin:], stream):
        return True
    slices = [_slices(codec, packet) for packet in stream]
    if len(slices) > _SOME and slices[-1] < min(slices[:-1]):
        return True
    before = _decoded(codec, [*stream[:-1], last])
    if _is_the_first_bad(before):
        return True
    if any(_decoded(codec, [*stream[:-1], last + more]) != before for more in _APPENDED):
        return True
    padded = _PADDING.sub(b"", last)  # an encoder's, to keep up a bit rate
    if len(padded) - begin < 2 * _MUCH:
        return False
    return _decoded(codec, [*stream[:-1], padded[:-_MUCH] + _APPENDED[1][:_MUCH]]) == before


def _has_damaged_start(codec: str, unit: bytes, stream: Sequence[bytes]) -> bool:
    """Whether a slice holds what but for one bit begins another, as those of the stream begin."""
    size = 2 if codec == "hevc" else 1
    heads = {
        packet[match.end() - 1 : match.end() - 1 + size]
        for packet in stream
        for match in _UNIT.finditer(packet)
        if _SLICES[codec](match[1][0])
    }
    data = np.frombuffer(unit[size:][-_NEAR:], np.uint8)
    for head in heads:
        start = np.frombuffer(b"\0\0\1" + head, np.uint8)
        if len(data) >= len(start):
            places = np.lib.stride_tricks.sliding_window_view(data, len(start))
            wrong = np.unpackbits(places ^ start, axis=1).sum(axis=1)
            if np.any((wrong <= 1) & (places[:, 2] != 3)):  # 3 keeps start codes out of slices
                return True
    return False


def _slices(codec: str, packet: bytes) -> int:
    return sum(_SLICES[codec](match[1][0]) for match in _UNIT.finditer(packet))


def _is_the_first_bad(decoded: tuple[str, int, int]) -> bool:
    """Whether the decoder complains of the last packet, and of none before."""
    _, earlier, last = decoded
    return last > 0 and not earlier


def _decoded(codec: str, stream: Sequence[bytes]) -> tuple[str, int, int]:
    """A digest of the last packet's picture; the decoder's complaints before it, and of it."""
    decoder = cast(av.VideoCodecContext, av.CodecContext.create(codec, "r"))
    decoder.thread_count = 1
    shown: dict[int | None, av.VideoFrame] = {}
    earlier = 0
    with captured(av.logging.ERROR) as logs:
        for number, data in enumerate([*stream, b""]):
            earlier = len(logs) if number == len(stream) - 1 else earlier
            packet = av.Packet(data) if data else None
            if packet:
                packet.pts = packet.dts = number
            try:
                shown |= {picture.pts: picture for picture in decoder.decode(packet)}
            except av.FFmpegError:
                continue
    last = shown.get(len(stream) - 1)
    digest = hashlib.sha256()
    for plane in from_av_frame(last).planes if last is not None else ():
        digest.update(plane.tobytes())
    return digest.hexdigest(), earlier, len(logs) - earlier


def _rows_missing(picture: bytes, height: int) -> bool:
    rows = [match[1][0] for match in _ROW.finditer(picture)]
    structure = _STRUCTURE.search(picture)
    fields = 2 if structure and structure[1][0] & 3 in (1, 2) else 1
    if not rows or height > _TALL:
        return False
    return max(rows) < -(-height // (_ROW_HEIGHT * fields))
