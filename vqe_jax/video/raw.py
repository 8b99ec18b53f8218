"""Raw ``.yuv`` files: planes one after the other, nothing else.

The size is in the name, as the test sequences of the field have it: ``NAME_WxH_N.yuv``. More
than 8 bits are two bytes a sample, little endian.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.video.base import Reader, Writer
from vqe_jax.video.files import readable_file, translated
from vqe_jax.video.formats import PixelFormat
from vqe_jax.video.info import Frame, VideoInfo

__all__ = ["PlanesWriter", "RawReader", "read_planes", "size_from_name", "write_planes"]

_SIZE = re.compile(r"_(\d+)x(\d+)(?=_|$)")
_COUNT = re.compile(r"_\d+x\d+_(\d+)$")
_BITS = re.compile(r"_(\d+)bits?(?=_|$)", re.IGNORECASE)
_SUBSAMPLING = re.compile(r"_(?:yuv)?(420|422|444|400|gray)p?(\d+)?(?:le)?(?=_|$)", re.IGNORECASE)


def size_from_name(path: Path) -> tuple[int, int] | None:
    """Width and height as the name says them, or None.

    Args:
      path: for example ``BasketballPass_416x240_500.yuv``.

    Example:
      >>> size_from_name(Path("BasketballPass_416x240_500.yuv"))
      (416, 240)
    """
    match = _SIZE.search(path.stem)
    return (int(match[1]), int(match[2])) if match else None


def _format_from_name(path: Path) -> PixelFormat:
    layout, depth = _SUBSAMPLING.search(path.stem), _BITS.search(path.stem)
    subsampling = layout[1].lower().replace("400", "gray") if layout else "420"
    bits = int(depth[1]) if depth else int((layout and layout[2]) or 8)
    return PixelFormat(bits, subsampling)


def read_planes(file: IO[bytes], info: VideoInfo, path: Path) -> tuple[np.ndarray, ...] | None:
    """The next frame's planes, or None at the end of the file.

    Args:
      file: open for reading, at the start of a frame.

    Raises:
      UserError: the file ends within the frame.
    """
    wanted = info.pixel_format.frame_bytes(info.width, info.height)
    data = file.read(wanted)
    if not data:
        return None
    if len(data) < wanted:
        raise UserError(
            f"{path} ends within a frame: {len(data)} of {wanted} bytes; is it cut short?"
        )
    samples = np.frombuffer(data, info.pixel_format.dtype.newbyteorder("<"))
    planes, at = [], 0
    for height, width in info.plane_shapes:
        plane = samples[at : at + height * width].reshape(height, width)
        planes.append(plane.astype(info.pixel_format.dtype))
        at += height * width
    return tuple(planes)


def write_planes(file: IO[bytes], frame: Frame) -> None:
    """Appends a frame's planes."""
    for plane in frame.planes:
        file.write(plane.astype(plane.dtype.newbyteorder("<"), copy=False).tobytes())


class RawReader(Reader):
    """Frames of a ``.yuv`` file.

    Args:
      size: (width, height); None to take it from the name.
      pixel_format: None to take it from the name, or 8-bit 4:2:0.
      keep_damaged: accept a part of a frame at the end, and leave it out.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: tuple[int, int] | None = None,
        pixel_format: PixelFormat | None = None,
        keep_damaged: bool = False,
    ) -> None:
        self.path = path
        total = readable_file(path, "raw video")
        size = size or size_from_name(path)
        if size is None:
            raise UserError(
                f"{path}: the size of the pictures is not known; name the file NAME_WxH_N.yuv "
                "or give the size (--size WxH)"
            )
        pixel_format = pixel_format or _format_from_name(path)
        if pixel_format.subsampling == "rgb":
            raise UserError(f"{path}: raw files hold YUV or gray here, not rgb")
        info = VideoInfo(*size, pixel_format)
        one = pixel_format.frame_bytes(*size)
        if total < one or (total % one and not keep_damaged):
            raise UserError(
                f"{path}: {total} bytes are not a whole number of {size[0]}x{size[1]} "
                f"{pixel_format.av_name} frames ({one} bytes each); is the size or format wrong, "
                "or the file cut short?"
            )
        self.info = dataclasses.replace(info, frames=total // one)

    def concerns(self, seconds: float | None = None) -> list[str]:
        """Fewer frames than the name says, and a part of a frame at the end.

        Args:
          seconds: look at so much of its beginning; None for all.
        """
        said, held = [], self.info.frames or 0
        match = _COUNT.search(self.path.stem)
        if match and int(match[1]) > held:
            said.append(
                f"{self.path}: the name says {int(match[1])} frames, the file holds {held}; is it "
                "cut short?"
            )
        one = self.info.pixel_format.frame_bytes(self.info.width, self.info.height)
        if more := self.path.stat().st_size % one:
            said.append(f"{self.path} ends within a frame: {more} of {one} bytes are left out")
        return said

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from ``start`` on; those before are skipped without being read.

        Args:
          start: index of the first frame wanted.
        """
        pixel_format = self.info.pixel_format
        with translated(self.path, "read"), self.path.open("rb") as file:
            file.seek(start * pixel_format.frame_bytes(self.info.width, self.info.height))
            for _ in range(start, self.info.frames or 0):
                planes = read_planes(file, self.info, self.path)
                if planes is None:
                    raise UserError(f"{self.path} was cut short while it was read")
                yield Frame(planes, pixel_format)


class PlanesWriter(Writer):
    """``.yuv``, and ``.y4m`` with its header lines."""

    def __init__(
        self,
        path: Path,
        header: bytes = b"",
        before_frame: bytes = b"",
        rate: Fraction | None = None,
    ) -> None:
        super().__init__(path, rate)
        self._before_frame = before_frame
        self._claim()
        with translated(path, "written"):
            self._file = self.part.open("wb")
            self._file.write(header)

    def _write(self, frame: Frame) -> None:
        self._file.write(self._before_frame)
        write_planes(self._file, frame)

    def _close(self, *, whole: bool) -> None:
        try:
            self._file.close()
        except OSError:
            if whole:
                raise
