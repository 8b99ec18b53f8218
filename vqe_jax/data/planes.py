"""Decoded clips as memory-mapped planes, decoded once and kept beside the data set.

A training crop of 7 frames out of 300 must not cost the decoding of a group of pictures. So a clip
is decoded once into a file of 8-bit 4:2:0 frames one after the other (``SHA_WxH_N.yuv``, which any
player opens), and a crop is a slice of a memory map: the system reads the pages that are touched
and keeps those in use. RGB clips have a second file of interleaved bytes, made when first asked
for; its samples are rounded to 8 bits as in the PNG frames on which the literature computes RGB
metrics.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vqe_jax.data.record import PairInfo
from vqe_jax.data.yuv420 import YUV420P8, as_yuv420p8
from vqe_jax.errors import UserError
from vqe_jax.video import Frame, open_reader, to_rgb

__all__ = [
    "MappedFrames",
    "decode",
    "frame_at",
    "luma_view",
    "open_planes",
    "open_rgb",
    "plane_file",
]


def plane_file(folder: Path, sha256: str, width: int, height: int, frames: int) -> Path:
    """Where the decoded planes of a clip are.

    Args:
      folder: of all planes of a data set.
      sha256: of the encoded clip.
      width: of it, in pixels.
      height: of it, in pixels.
      frames: how many of it are used.
    """
    return folder / f"{sha256[:32]}_{width}x{height}_{frames}.yuv"


def _frames(video: Path, width: int, height: int, limit: int | None) -> Iterator[Frame]:
    """Frames as 8-bit 4:2:0 of the size expected."""
    with open_reader(video) as reader:
        size = (reader.info.width // 2 * 2, reader.info.height // 2 * 2)
        if size != (width, height):
            raise UserError(
                f"{video} is {reader.info.width}x{reader.info.height} but its pair is "
                f"{width}x{height}; a compressed and a raw clip must have the same size"
            )
        for frame in itertools.islice(reader, limit):
            yield as_yuv420p8(frame, reader.info)


def decode(
    video: Path, target: Path, width: int, height: int, frames: int, *, cut: bool = False
) -> None:
    """Decodes a clip into a file of planes, which appears only when it is whole.

    Args:
      video: any file or folder that can be read.
      target: the file to make.
      width: that it must have, in pixels.
      height: that it must have, in pixels.
      frames: that it must have.
      cut: further frames are left out instead of being an error.

    Raises:
      UserError: it cannot be decoded, or its size or length is another.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    count = 0
    try:
        with part.open("wb") as out:
            for frame in _frames(video, width, height, frames if cut else None):
                count += 1
                for plane in frame.planes:
                    out.write(np.ascontiguousarray(plane).data)
        if count != frames:
            raise UserError(
                f"{video} has {count} frames but its pair has {frames}; a compressed and a raw "
                "clip must have the same length (--frames cuts both)"
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def open_planes(path: Path, width: int, height: int, frames: int) -> np.ndarray | None:
    """Maps a file of planes.

    Args:
      path: of :func:`plane_file`.
      width: of the clip, in pixels.
      height: of the clip, in pixels.
      frames: of the clip.

    Returns:
      uint8 ``[frames, height * width * 3 / 2]``; None where the file is missing or of another
      size.
    """
    size = width * height * 3 // 2
    if not path.exists() or path.stat().st_size != frames * size:
        return None
    return _map(path, (frames, size))


def _map(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    # As a plain array: slicing the memmap subclass takes ten times as long.
    return np.memmap(path, np.uint8, "r", shape=shape).view(np.ndarray)


class MappedFrames:
    """Mapped planes as frames, for an encoder; can be walked through repeatedly.

    Args:
      planes: of :func:`open_planes`.
      width: of the clip, in pixels.
      height: of the clip, in pixels.
    """

    def __init__(self, planes: np.ndarray, width: int, height: int) -> None:
        self._planes, self._size = planes, (width, height)

    def __len__(self) -> int:
        return len(self._planes)

    def __iter__(self) -> Iterator[Frame]:
        return (frame_at(self._planes, i, *self._size) for i in range(len(self)))


def luma_view(planes: np.ndarray, width: int, height: int) -> np.ndarray:
    """The luma of mapped planes; a view.

    Args:
      planes: of :func:`open_planes`.
      width: of the clip, in pixels.
      height: of the clip, in pixels.

    Returns:
      uint8 ``[frames, height, width]``.
    """
    return planes[:, : width * height].reshape(-1, height, width)


def frame_at(planes: np.ndarray, index: int, width: int, height: int) -> Frame:
    """One frame of mapped planes.

    Args:
      planes: of :func:`open_planes`.
      index: of the frame.
      width: of the clip, in pixels.
      height: of the clip, in pixels.
    """
    flat, area = planes[index], width * height
    y, u, v = np.split(np.asarray(flat), [area, area + area // 4])
    half = (height // 2, width // 2)
    return Frame((y.reshape(height, width), u.reshape(half), v.reshape(half)), YUV420P8)


def open_rgb(path: Path, planes: np.ndarray, info: PairInfo) -> np.ndarray:
    """Maps a clip as RGB, converting it first if that was never done.

    Args:
      path: of its planes; the RGB file stands beside it.
      planes: of :func:`open_planes`.
      info: of the pair.

    Returns:
      uint8 ``[frames, height, width, 3]``.
    """
    shape = (info.frames, info.height, info.width, 3)
    target = path.with_suffix(".rgb")
    if not target.exists() or target.stat().st_size != int(np.prod(shape)):
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as out:
                for index in range(info.frames):
                    rgb = to_rgb(frame_at(planes, index, info.width, info.height), info.video)
                    out.write(np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return _map(target, shape)
