"""Decoded clips as planes, decoded once and kept beside the data set.

A training crop of 7 frames out of 300 must not cost the decoding of a group of pictures. So a clip
is decoded once into a file of 8-bit 4:2:0 frames one after the other (``SHA_WxH_N.yuv``, which any
player opens), and of a crop the rows that it touches are read; the system keeps the pages in use.
Each file has its checksums beside it (:mod:`vqe_jax.data.stored`). RGB clips have a second file of
interleaved bytes, made when first asked for; its samples are rounded to 8 bits as in the PNG frames
on which the literature computes RGB metrics.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vqe_jax.codes import to_codes
from vqe_jax.data.stored import StoredFrames, is_whole, write_sealed
from vqe_jax.data.yuv420 import YUV420P8, as_yuv420p8
from vqe_jax.errors import UserError
from vqe_jax.video import Frame, VideoInfo, open_reader, to_rgb

__all__ = ["PlaneFile", "decoded_frames"]


@dataclasses.dataclass(frozen=True)
class PlaneFile:
    """The frames of one clip, 8-bit 4:2:0, in a file; can be walked through repeatedly.

    Attributes:
      width: in pixels, even.
      height: in pixels, even.
    """

    path: Path
    width: int
    height: int
    frames: int

    @classmethod
    def of(cls, folder: Path, sha256: str, width: int, height: int, frames: int) -> PlaneFile:
        """The file of an encoded clip in the folder of all planes of a data set."""
        return cls(folder / f"{sha256[:32]}_{width}x{height}_{frames}.yuv", width, height, frames)

    @property
    def frame_bytes(self) -> int:
        """Of one frame."""
        return self.width * self.height * 3 // 2

    @property
    def exists(self) -> bool:
        """Whether it is there, as long as it must be, and unchanged since it was written."""
        return is_whole(self.path, self.frames * self.frame_bytes)

    @property
    def is_damaged(self) -> bool:
        """Whether it is there and not what was written; reads all of it, and of its RGB."""
        size = self.frames * self.width * self.height
        files = ((self.path, size * 3 // 2), (self.path.with_suffix(".rgb"), size * 3))
        return any(p.exists() and not is_whole(p, s, everything=True) for p, s in files)

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[Frame]:
        planes = self.map()
        return (self._frame(planes[i]) for i in range(self.frames))

    def map(self) -> StoredFrames:
        """All samples ``[t, planes]``: a row a frame, its luma first."""
        return StoredFrames(self.path, self.frames, (self.frame_bytes,))

    def luma(self) -> StoredFrames:
        """The luma, ``[t, h, w]``."""
        shape = (self.height, self.width)
        return StoredFrames(self.path, self.frames, shape, stride=self.frame_bytes)

    def frame(self, index: int) -> Frame:
        """One frame."""
        return self._frame(self.map()[index])

    def _frame(self, flat: np.ndarray) -> Frame:
        area, half = self.width * self.height, (self.height // 2, self.width // 2)
        y, u, v = np.split(flat, [area, area + area // 4])
        planes = (y.reshape(self.height, self.width), u.reshape(half), v.reshape(half))
        return Frame(planes, YUV420P8)

    def rgb(self, info: VideoInfo) -> StoredFrames:
        """The clip as RGB, ``[t, h, w, 3]``; converted first if that was never done."""
        target = self.path.with_suffix(".rgb")
        if not is_whole(target, self.frames * self.height * self.width * 3):
            with write_sealed(target) as part, part.open("wb") as out:
                for frame in self:
                    out.write(to_codes(to_rgb(frame, info)).data)
        return StoredFrames(target, self.frames, (self.height, self.width, 3))

    def write(self, frames: Iterable[Frame]) -> None:
        """Makes the file of frames of the right size; it appears when it is whole."""
        with write_sealed(self.path) as part, part.open("wb") as out:
            for frame in frames:
                for plane in frame.planes:
                    out.write(np.ascontiguousarray(plane).data)


def decoded_frames(
    video: str | os.PathLike[str], like: PlaneFile, *, cut: bool = False, **options: Any
) -> Iterator[Frame]:
    """The frames of a video, which must have the size and length of a plane file.

    Args:
      video: any file or folder that can be read.
      like: gives width, height and number of frames.
      cut: further frames are left out instead of being an error.
      **options: those of :func:`vqe_jax.video.open_reader`.

    Yields:
      8-bit 4:2:0.

    Raises:
      UserError: it cannot be decoded, or its size or length is another.
    """
    count = 0
    with open_reader(video, **options) as reader:
        info = reader.info
        if (info.width // 2 * 2, info.height // 2 * 2) != (like.width, like.height):
            raise UserError(
                f"{video} is {info.width}x{info.height} but its pair is "
                f"{like.width}x{like.height}; a compressed and a raw clip must have the same size"
            )
        for frame in itertools.islice(reader, like.frames if cut else None):
            count += 1
            yield as_yuv420p8(frame, info)
    if count != like.frames:
        raise UserError(
            f"{video} has {count} frames but its pair has {like.frames}; a compressed and a raw "
            "clip must have the same length (--frames cuts both)"
        )
