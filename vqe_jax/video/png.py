"""Folders of PNG files, one a frame: 8 or 16 bits, RGB or gray, in natural order of the names."""

from __future__ import annotations

import itertools
import os
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.video.base import Reader, Writer
from vqe_jax.video.files import discard, readable_file, translated
from vqe_jax.video.formats import ColorTags
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.libav import Packet
from vqe_jax.video.planes import from_av_frame

__all__ = ["PngReader", "PngWriter", "encode_png", "read_png"]

_SRGB = ColorTags(matrix=0, range=2, primaries=1, transfer=13)
# By the number of channels: 8 bits, and more.
_LAYOUTS = {
    1: ("gray", "gray16be"),
    2: ("ya8", "ya16be"),
    3: ("rgb24", "rgb48be"),
    4: ("rgba", "rgba64be"),
}
_MAGIC = b"\x89PNG\r\n\x1a\n"


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """f2 before f10."""
    parts = re.split(r"(\d+)", path.name)
    return [(p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts]


def _numbers_missing(files: list[Path]) -> int:
    """How many numbers a series leaves out, where its steps are of one but for a few.

    Names that differ in more than one number are no series.
    """
    parts = [re.split(r"(\d+)", file.stem) for file in files]
    if len(files) < 3 or len({tuple(part[:-2]) + tuple(part[-1:]) for part in parts}) > 1:
        return 0
    numbers = [int(part[-2]) for part in parts if len(part) > 1]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    if steps.count(1) * 2 < len(steps):
        return 0
    return sum(step - 1 for step in steps if step > 1)


def read_png(path: Path) -> Frame:
    """Reads one PNG file; palettes and one-bit pictures are spread out.

    Raises:
      UserError: not a PNG file, or a damaged one.
    """
    readable_file(path, "a PNG picture")
    with translated(path, "read"):
        decoder = av.CodecContext.create("png", "r")
        decoder.options = {"err_detect": "crccheck+explode"}
        packet = Packet(path.read_bytes())
        pictures = decoder.decode(packet) + decoder.decode(None)
    if len(pictures) != 1:
        raise UserError(f"{path} holds no picture; expected a whole PNG file")
    frame = from_av_frame(pictures[0])
    return Frame(
        frame.planes,
        frame.pixel_format,
        pict_type="I",
        corrupt=frame.corrupt,
        alpha=frame.alpha,
    )


def encode_png(frame: Frame) -> bytes:
    """The bytes of a PNG file.

    Args:
      frame: gray or rgb, 8 or 16 bits; 9 to 15 bits are stretched to 16 so that white stays
        white.

    Raises:
      UserError: the frame is YUV with chroma.
    """
    if frame.pixel_format.subsampling not in ("rgb", "gray"):
        raise UserError(
            f"PNG holds RGB or gray, not {frame.pixel_format.av_name}; convert with to_rgb first"
        )
    bits = frame.pixel_format.bits
    planes = frame.planes if frame.alpha is None else (*frame.planes, frame.alpha)
    packed = np.stack(planes, axis=-1)
    if 8 < bits < 16:
        full = frame.pixel_format.maximum
        packed = ((packed.astype(np.uint32) * 65535 + full // 2) // full).astype(np.uint16)
    big_endian = packed.astype(packed.dtype.newbyteorder(">"))
    name = _LAYOUTS[packed.shape[-1]][bits > 8]
    height, width = packed.shape[:2]
    picture = av.VideoFrame(width, height, name)
    plane = picture.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    data = big_endian.reshape(height, -1).view(np.uint8)
    rows[:height, : data.shape[1]] = data
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, name
    return b"".join(bytes(p) for p in [*encoder.encode(picture), *encoder.encode(None)])


class PngReader(Reader):
    """Frames of a folder of PNG files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = sorted((f for f in path.iterdir() if f.suffix.lower() == ".png"), key=_natural)
        if not self.files:
            raise UserError(f"{path} holds no .png files; expected one a frame")
        first = read_png(self.files[0])
        height, width = first.planes[0].shape
        color = _SRGB if first.pixel_format.subsampling == "rgb" else ColorTags(range=2)
        self.info = VideoInfo(
            width,
            height,
            first.pixel_format,
            color,
            frames=len(self.files),
            codec="png",
            alpha=first.alpha is not None,
        )

    def concerns(self, seconds: float | None = None) -> list[str]:
        """Numbers that are missing; files that are cut short or not all alike are refused at once.

        Args:
          seconds: of no effect: PNG files have no times.

        Raises:
          UserError: naming the first such file.
        """
        kinds = set[bytes]()
        for file in self.files:
            with translated(file, "read"), file.open("rb") as data:
                head, end = data.read(26), b""
                if len(head) == 26:
                    data.seek(-8, os.SEEK_END)
                    end = data.read(4)
            if head[:8] != _MAGIC or end != b"IEND":
                raise UserError(f"{file} is cut short or no PNG file; all must be whole")
            width, height = struct.unpack(">II", head[16:24])
            if (width, height) != (self.info.width, self.info.height):
                raise UserError(
                    f"{file}: {width}x{height} among frames of {self.info.width}x"
                    f"{self.info.height}; all must be alike"
                )
            if head[24:] not in kinds:  # depth and kind of color: one of each is looked at
                self._checked(file)
                kinds.add(head[24:])
        missing = _numbers_missing(self.files)
        return [f"{self.path}: {missing} numbers are missing among its files"] if missing else []

    def _checked(self, file: Path) -> Frame:
        frame = read_png(file)
        found = (frame.pixel_format, tuple(p.shape for p in frame.planes))
        if found != (self.info.pixel_format, self.info.plane_shapes):
            height, width = frame.planes[0].shape
            raise UserError(
                f"{file}: {width}x{height} {frame.pixel_format.av_name} among frames of "
                f"{self.info.width}x{self.info.height} {self.info.pixel_format.av_name}; "
                "all must be alike"
            )
        return frame

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from ``start`` on; those before are not read.

        Args:
          start: index of the first frame wanted.
        """
        for file in self.files[start:]:
            yield self._checked(file)


class PngWriter(Writer):
    """A folder of ``00000000.png`` and so on."""

    def __init__(self, path: Path, rate: Fraction | None = None) -> None:
        super().__init__(path, rate)
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; expected the name of a folder for PNG frames")
        if path.is_dir() and any(f.suffix != ".png" for f in path.iterdir()):
            raise UserError(f"{path} holds files that are not PNG; name an empty or new folder")
        with translated(path, "written"):
            if not self.part.is_dir():
                discard(self.part)
            self.part.mkdir(exist_ok=True)
        self._claim()
        for old in self.part.iterdir():  # of a run that was killed
            discard(old)

    def _write(self, frame: Frame) -> None:
        (self.part / f"{self.written:08d}.png").write_bytes(encode_png(frame))

    def _close(self, *, whole: bool) -> None: ...
