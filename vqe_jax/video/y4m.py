"""YUV4MPEG2 (``.y4m``): raw planes behind a line of text with size, rate and layout."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import IO

from vqe_jax.errors import UserError
from vqe_jax.video.base import Reader
from vqe_jax.video.files import readable_file, translated
from vqe_jax.video.formats import ColorTags, PixelFormat
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.raw import read_planes

__all__ = ["Y4mReader", "y4m_header"]

_MAGIC = b"YUV4MPEG2"
_LAYOUT = re.compile(r"(mono|420|422|444|440|411)(jpeg|mpeg2|paldv)?p?(\d+)?")
_SITING = {"jpeg": "center", "mpeg2": "left", "paldv": "topleft"}
_LONGEST_LINE = 4096
_LARGEST = (1 << 31) - 1


def _layout(text: str, path: Path) -> tuple[PixelFormat, str]:
    match = _LAYOUT.fullmatch(text)
    if not match:
        raise UserError(f"{path}: y4m layout C{text} is not supported; expected C420, C444p10, ...")
    subsampling = "gray" if match[1] == "mono" else match[1]
    return PixelFormat(int(match[3] or 8), subsampling), _SITING.get(match[2], "unspecified")


def _ratio(text: str) -> Fraction | None:
    above, _, below = text.partition(":")
    if not int(above) or not int(below):
        return None
    if max(int(above), int(below)) > _LARGEST:
        raise ValueError("a ratio of numbers that large is damage")
    return Fraction(int(above), int(below))


def _parse(line: bytes, path: Path) -> VideoInfo:
    if not line.startswith(_MAGIC + b" ") or not line.endswith(b"\n"):
        raise UserError(f"{path} is not a y4m file: it does not begin with {_MAGIC.decode()}")
    fields = {part[0]: part[1:] for part in line[len(_MAGIC) :].decode("latin1").split()}
    full = b"XCOLORRANGE=FULL" in line
    limited = b"XCOLORRANGE=LIMITED" in line
    try:
        pixel_format, siting = _layout(fields.get("C", "420"), path)
        rate = _ratio(fields.get("F", "0:0"))
        return VideoInfo(
            int(fields["W"]),
            int(fields["H"]),
            pixel_format,
            ColorTags(range=2 if full else int(limited), siting=siting),
            frame_rate=rate,
            time_base=1 / rate if rate else None,
            sample_aspect_ratio=_ratio(fields.get("A", "0:0")),
            interlaced=fields.get("I", "p") in "tbm",
            field_order={"t": "top", "b": "bottom"}.get(fields.get("I", "p"), ""),
        )
    except (KeyError, ValueError) as err:
        if isinstance(err, UserError):
            raise
        raise UserError(f"{path}: the y4m header is damaged: {line[:80]!r}") from err


def y4m_header(info: VideoInfo) -> bytes:
    """The first line of a y4m file.

    Args:
      info: of the video; a missing frame rate is written as unknown (``F0:0``).

    Raises:
      UserError: y4m has no name for the pixel format (RGB).
    """
    bits, subsampling = info.pixel_format.bits, info.pixel_format.subsampling
    if subsampling == "rgb":
        raise UserError("y4m holds YUV and gray, not RGB; write PNG or FFV1 (.mkv) instead")
    layout = "mono" if subsampling == "gray" else subsampling
    names = {siting: name for name, siting in _SITING.items()}
    if bits > 8:
        layout += ("" if layout == "mono" else "p") + str(bits)
    elif subsampling == "420":
        layout += names.get(info.color.siting, "mpeg2")
    rate = info.frame_rate or Fraction(0)
    field = (info.field_order[:1] or "m") if info.interlaced else "p"
    sar = info.sample_aspect_ratio or Fraction(0)
    line = (
        f"{_MAGIC.decode()} W{info.width} H{info.height} "
        f"F{rate.numerator}:{rate.denominator if rate else 0} I{field} "
        f"A{sar.numerator}:{sar.denominator if sar else 0} C{layout}"
    )
    if info.color.range:
        line += f" XCOLORRANGE={'FULL' if info.color.range == 2 else 'LIMITED'}"
    return line.encode() + b"\n"


class Y4mReader(Reader):
    """Frames of a ``.y4m`` file.

    Args:
      keep_damaged: end where the file breaks off, with a warning.
    """

    def __init__(self, path: Path, *, keep_damaged: bool = False) -> None:
        self.path = path
        self.keep_damaged = keep_damaged
        size = readable_file(path, "y4m video")
        with translated(path, "read"), path.open("rb") as file:
            self.info = _parse(file.readline(_LONGEST_LINE), path)
        one = self.info.pixel_format.frame_bytes(self.info.width, self.info.height)
        if one > size:
            raise UserError(
                f"{path} holds no whole frame: one of {self.info.width}x{self.info.height} takes "
                f"{one} bytes, the file has {size}; is it cut short?"
            )

    def frames(self, start: int = 0) -> Iterator[Frame]:
        """The frames from ``start`` on.

        Args:
          start: index of the first frame wanted.
        """
        with translated(self.path, "read"), self.path.open("rb") as file:
            file.readline(_LONGEST_LINE)
            index = 0
            while (frame := self._next(file, index)) is not None:
                if index >= start:
                    yield frame
                index += 1

    def _broken(self, file: IO[bytes], line: bytes) -> bool:
        """Whether this is not the start of a whole frame."""
        one = self.info.pixel_format.frame_bytes(self.info.width, self.info.height)
        left = self.path.stat().st_size - file.tell()
        return not line.startswith(b"FRAME") or not line.endswith(b"\n") or left < one

    def _next(self, file: IO[bytes], index: int) -> Frame | None:
        line = file.readline(_LONGEST_LINE)
        if not line:
            return None
        if self.keep_damaged and self._broken(file, line):
            warnings.warn(f"{self.path} breaks off within frame {index}", stacklevel=3)
            return None
        if not line.startswith(b"FRAME") or not line.endswith(b"\n"):
            raise UserError(f"{self.path}: frame {index} does not begin with FRAME; is it damaged?")
        planes = read_planes(file, self.info, self.path)
        if planes is None:
            raise UserError(f"{self.path} ends within frame {index}; is it cut short?")
        base = self.info.time_base
        return Frame(
            planes,
            self.info.pixel_format,
            pts=index if base else None,
            time_base=base,
            duration=1 if base else None,
        )
