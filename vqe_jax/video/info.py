"""What is known about a video (:class:`VideoInfo`) and one picture of it (:class:`Frame`)."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import av
import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.video.formats import ColorTags, PixelFormat
from vqe_jax.video.hdr import HDRMetadata

__all__ = ["Frame", "VideoInfo"]

_LARGEST_SIDE = 1 << 16
_YUV420, _UNTAGGED = PixelFormat(), ColorTags()


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """Size, layout, color and timing of a video.

    Attributes:
      width: in pixels.
      height: in pixels.
      color: color tags as the file states them.
      frame_rate: nominal frames per second; None where unknown.
      time_base: the unit of the time stamps, in seconds; None where there are none.
      frames: how many, where the file says so without being decoded.
      codec: FFmpeg's name of it, or ``"rawvideo"`` or ``"png"``.
      rotation: degrees anticlockwise that a player turns the picture.
      display_matrix: the nine numbers behind ``rotation``, flips included.
      sample_aspect_ratio: width over height of one sample; None where not stated.
      interlaced: the first frame is stored as two fields.
      field_order: which field of an interlaced video comes first, ``"top"`` or ``"bottom"``.
      captions: they bear closed captions (CEA-608/708).
      uncarried: what else lies in the pictures and cannot be carried over, in words.
      duration: in seconds, where the file says so.
      bit_rate: bits per second of the video, where the file says so.
      hdr: static HDR metadata; None where there is none.
    """

    width: int
    height: int
    pixel_format: PixelFormat = _YUV420
    color: ColorTags = _UNTAGGED
    frame_rate: Fraction | None = None
    time_base: Fraction | None = None
    frames: int | None = None
    codec: str = "rawvideo"
    rotation: int = 0
    display_matrix: tuple[int, ...] | None = None
    sample_aspect_ratio: Fraction | None = None
    interlaced: bool = False
    field_order: str = ""
    alpha: bool = False
    captions: bool = False
    uncarried: tuple[str, ...] = ()
    duration: float | None = None
    bit_rate: int | None = None
    hdr: HDRMetadata | None = None

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise UserError(
                f"a picture of {self.width}x{self.height} pixels; expected at least 1x1"
            )
        if max(self.width, self.height) > _LARGEST_SIDE:
            raise UserError(
                f"a picture of {self.width}x{self.height} pixels; expected sides of at most "
                f"{_LARGEST_SIDE}"
            )

    @property
    def resolved_color(self) -> ColorTags:
        """The color tags with what is not stated filled in."""
        return self.color.resolved(self.height, self.pixel_format.subsampling)

    @property
    def plane_shapes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of each plane."""
        return self.pixel_format.plane_shapes(self.width, self.height)


@dataclasses.dataclass
class Frame:
    """One picture.

    Attributes:
      planes: Y, U, V (or Y alone, or R, G, B), ``[height, width]`` each, uint8 or uint16.
      pts: presentation time in units of ``time_base``; None where the file has none.
      time_base: the unit of ``pts`` and ``duration``, in seconds.
      duration: in units of ``time_base``; None where not known.
      pict_type: ``"I"``, ``"P"`` or ``"B"`` where the decoder says so.
      corrupt: the decoder had to invent part of it.
      alpha: how opaque each pixel is, ``[height, width]``, of the planes' dtype and maximum; None
        where all is opaque.
      carrier: the picture as it was decoded, where it bears closed captions: the encoder gets them
        from there.
    """

    planes: tuple[np.ndarray, ...]
    pixel_format: PixelFormat = _YUV420
    pts: int | None = None
    time_base: Fraction | None = None
    duration: int | None = None
    pict_type: str | None = None
    corrupt: bool = False
    alpha: np.ndarray | None = None
    carrier: av.VideoFrame | None = None

    @property
    def seconds(self) -> float | None:
        """When it is shown; None without a time stamp."""
        if self.pts is None or self.time_base is None:
            return None
        return float(self.pts * self.time_base)
