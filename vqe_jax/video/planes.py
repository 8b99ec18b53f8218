"""Between PyAV's frames and plain arrays, without any conversion of the sample values."""

from __future__ import annotations

import re
from typing import Any

import av
import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.video.formats import PixelFormat
from vqe_jax.video.info import Frame

__all__ = ["from_av_frame", "layout_of", "planar_name", "side_data", "to_av_frame"]

# Packed and semi-planar layouts and the planar one that holds the same samples.
_REARRANGED = {
    "yuv420p": "nv12 nv21",
    "yuv422p": "nv16 yuyv422 uyvy422 yvyu422",
    "yuv444p": "nv24 nv42",
    "yuv420p10le": "p010le",
    "yuv422p10le": "nv20le p210le y210le",
    "yuv444p10le": "p410le",
    "yuv420p12le": "p012le",
    "yuv420p16le": "p016le",
    "gbrp": "rgb24 bgr24 rgba bgra argb abgr rgb0 bgr0 0rgb 0bgr pal8",
    "gbrp10le": "x2rgb10le x2bgr10le",
    "gbrp16le": "rgb48le rgb48be bgr48le bgr48be rgba64le rgba64be bgra64le bgra64be",
    "gray": "monow monob ya8",
    "gray16le": "ya16le ya16be",
}
_PLANAR = {packed: planar for planar, names in _REARRANGED.items() for packed in names.split()}
_BIG_ENDIAN = re.compile(r"((?:yuva?\d{3}p|gray|gbra?p)\d+)be")
# FFmpeg's order of the planes of RGB is G, B, R.
_TO_RGB = (2, 0, 1)
_FROM_RGB = (1, 2, 0)


def planar_name(name: str) -> str:
    """The planar little-endian format that holds the same samples as FFmpeg's ``name``.

    Args:
      name: FFmpeg's name of a pixel format.
    """
    if match := _BIG_ENDIAN.fullmatch(name):
        return match[1] + "le"
    return _PLANAR.get(name, name)


def _plane(plane: av.video.plane.VideoPlane, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    height, width = shape
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height]
    return rows[:, : width * dtype.itemsize].copy().view(dtype)


def side_data(picture: av.VideoFrame, kind: str) -> list[bytes]:
    """The frame's side data of a kind.

    Args:
      kind: PyAV's name of it, such as ``"DISPLAYMATRIX"``.
    """
    found: Any = picture.side_data
    return [bytes(data) for data in found if data.type.name == kind]


def layout_of(picture: av.VideoFrame) -> PixelFormat:
    """The layout that :func:`from_av_frame` gives a picture.

    Raises:
      UserError: its pixel format has no planar integer equivalent here.
    """
    return PixelFormat.from_av(planar_name(picture.format.name))


def from_av_frame(picture: av.VideoFrame) -> Frame:
    """Copies a decoded picture; packed layouts are rearranged, sample values never change.

    Raises:
      UserError: its pixel format has no planar integer equivalent here.
    """
    name = planar_name(picture.format.name)
    pixel_format = PixelFormat.from_av(name)
    planar = picture if name == picture.format.name else picture.reformat(format=name)
    shapes = pixel_format.plane_shapes(picture.width, picture.height)
    planes = [
        _plane(plane, shape, pixel_format.dtype)
        for plane, shape in zip(planar.planes, shapes, strict=False)  # a fourth would be alpha
    ]
    if pixel_format.subsampling == "rgb":
        planes = [planes[i] for i in _TO_RGB]
    kind = av.video.frame.PictureType(picture.pict_type).name
    return Frame(
        tuple(planes),
        pixel_format,
        pts=picture.pts,
        time_base=picture.time_base,
        duration=picture.duration or None,
        pict_type=kind if kind in "IPB" else None,
        corrupt=bool(picture.is_corrupt),
    )


def to_av_frame(frame: Frame) -> av.VideoFrame:
    """Copies planes into a new PyAV frame of the same format; time stamps are left to the caller.

    Args:
      frame: its planes must fit its pixel format.

    Raises:
      UserError: the planes do not have the shapes or dtype of the format.
    """
    pixel_format, planes = frame.pixel_format, frame.planes
    height, width = planes[0].shape
    shapes = tuple(p.shape for p in planes)
    expected = pixel_format.plane_shapes(width, height)
    if shapes != expected or any(p.dtype != pixel_format.dtype for p in planes):
        raise UserError(
            f"planes {shapes} of {planes[0].dtype} are no {pixel_format.av_name} picture; "
            f"expected {expected} of {pixel_format.dtype}"
        )
    if pixel_format.subsampling == "rgb":
        planes = tuple(planes[i] for i in _FROM_RGB)
    picture = av.VideoFrame(width, height, pixel_format.av_name)
    for source, target in zip(planes, picture.planes, strict=True):
        rows = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)
        data = np.ascontiguousarray(source).view(np.uint8)
        rows[: data.shape[0], : data.shape[1]] = data
    return picture
