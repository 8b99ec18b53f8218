"""Between PyAV's frames and plain arrays, without any conversion of the sample values."""

from __future__ import annotations

import re
from typing import Any

import av
import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.video.formats import PixelFormat, has_alpha
from vqe_jax.video.info import Frame

__all__ = ["CAPTIONS", "from_av_frame", "layout_of", "planar_name", "side_data", "to_av_frame"]

# Side data of a picture with closed captions.
CAPTIONS = "A53_CC"
# Packed and semi-planar layouts and the planar one that holds the same samples.
_REARRANGED = {
    "yuv420p": "nv12 nv21",
    "yuv422p": "nv16 yuyv422 uyvy422 yvyu422",
    "yuv444p": "nv24 nv42 vuyx vyu444",
    "yuv420p10le": "p010le",
    "yuv422p10le": "nv20le p210le y210le",
    "yuv444p10le": "p410le xv30le v30xle",
    "yuv420p12le": "p012le",
    "yuv422p12le": "p212le y212le",
    "yuv444p12le": "p412le xv36le",
    "yuv420p16le": "p016le",
    "yuv422p16le": "p216le y216le",
    "yuv444p16le": "p416le xv48le",
    "yuva444p": "ayuv vuya uyva",
    "yuva444p16le": "ayuv64le",
    "gbrp": "rgb24 bgr24 rgb0 bgr0 0rgb 0bgr rgb8 bgr8 rgb4_byte bgr4_byte rgb4 bgr4 "
    "rgb565le bgr565le rgb555le bgr555le rgb444le bgr444le",
    "gbrap": "rgba bgra argb abgr pal8",
    "gbrp10le": "x2rgb10le x2bgr10le",
    "gbrp16le": "rgb48le rgb48be bgr48le bgr48be",
    "gbrap16le": "rgba64le rgba64be bgra64le bgra64be",
    "gray": "monow monob",
}
_PLANAR = {packed: planar for planar, names in _REARRANGED.items() for packed in names.split()}
_BIG_ENDIAN = re.compile(r"((?:yuva?\d{3}p|gray|gbra?p)\d+)be")
# Gray and transparency side by side; there is no planar format of them.
_GRAY_ALPHA = {"ya8": "gray", "ya16le": "gray16le", "ya16be": "gray16le"}
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
    return _GRAY_ALPHA.get(name) or _PLANAR.get(name, name)


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


def _packed_gray(picture: av.VideoFrame) -> tuple[np.ndarray, np.ndarray]:
    """Gray and transparency of pixels that hold both."""
    dtype = np.dtype(np.uint8 if picture.format.name == "ya8" else np.uint16)
    both = _plane(picture.planes[0], (picture.height, 2 * picture.width), dtype)
    return both[:, ::2].copy(), both[:, 1::2].copy()


def _planes(picture: av.VideoFrame) -> tuple[list[np.ndarray], np.ndarray | None]:
    """The planes of a picture, and its transparency."""
    if picture.format.name == "ya16be":
        picture = picture.reformat(format="ya16le")
    alpha: np.ndarray | None = None
    if picture.format.name in _GRAY_ALPHA:
        gray, alpha = _packed_gray(picture)
        return [gray], alpha
    name = planar_name(picture.format.name)
    pixel_format = PixelFormat.from_av(name)
    planar = picture if name == picture.format.name else picture.reformat(format=name)
    shapes = pixel_format.plane_shapes(picture.width, picture.height)
    planes = [
        _plane(plane, shape, pixel_format.dtype)
        for plane, shape in zip(planar.planes, shapes, strict=False)
    ]
    if has_alpha(name):
        alpha = _plane(planar.planes[len(shapes)], shapes[0], pixel_format.dtype)
        if picture.format.name == "pal8" and alpha.min() == pixel_format.maximum:
            alpha = None  # few palettes have it
    return planes, alpha


def from_av_frame(picture: av.VideoFrame) -> Frame:
    """Copies a decoded picture; packed layouts are rearranged, sample values never change.

    Raises:
      UserError: its pixel format has no planar integer equivalent here.
    """
    pixel_format = layout_of(picture)
    planes, alpha = _planes(picture)
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
        alpha=alpha,
        carrier=picture if side_data(picture, CAPTIONS) else None,
    )


def to_av_frame(frame: Frame, *, alpha: bool = False, captions: bool = False) -> av.VideoFrame:
    """Copies planes into a new PyAV frame of the same format; time stamps are left to the caller.

    Args:
      frame: its planes must fit its pixel format.
      alpha: with its transparency; opaque where it has none.
      captions: with the closed captions of the picture it comes from.

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
    name = pixel_format.av_name
    if alpha:
        name = pixel_format.av_names_with_alpha[0]
        opaque = np.full((height, width), pixel_format.maximum, pixel_format.dtype)
        planes = (*planes, opaque if frame.alpha is None else frame.alpha)
        if pixel_format.subsampling == "gray":
            planes = (np.stack(planes, -1).reshape(height, 2 * width),)
    picture = av.VideoFrame(width, height, name)
    if captions and frame.carrier is not None:
        picture = _like(frame.carrier, picture)
    for source, target in zip(planes, picture.planes, strict=True):
        rows = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)
        data = np.ascontiguousarray(source).view(np.uint8)
        rows[: data.shape[0], : data.shape[1]] = data
    return picture


def _like(carrier: av.VideoFrame, wanted: av.VideoFrame) -> av.VideoFrame:
    """A picture of the wanted format with all that the carrier bears beside its samples."""
    made = carrier.reformat(width=wanted.width, height=wanted.height, format=wanted.format.name)
    made.make_writable()
    made.pict_type = av.video.frame.PictureType.NONE  # the encoder's own choice
    return made
