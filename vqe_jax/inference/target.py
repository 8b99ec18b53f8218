"""What an enhanced file looks like: the source's own format wherever the target can hold it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vqe_jax.video import ColorTags, Frame, PixelFormat, VideoInfo, from_rgb, to_rgb
from vqe_jax.video.encoders import takes

__all__ = ["converter", "target_info"]

_PLANES = (".yuv", ".y4m")
# Chroma that few encoders know, and the layout in which each sample of it is just repeated.
_FINER = {"411": "422", "440": "444"}
_TAKES_RGB = ("ffv1", "png", "utvideo", "magicyuv", "libx264rgb")
_TAGS_OF_RGB = {False: 6, True: 1}  # BT.601 for small pictures, BT.709 for large ones


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if not suffix or path.is_dir():
        return "png"
    return "planes" if suffix in _PLANES else "container"


def target_info(path: Path, source: VideoInfo, *, codec: str, scale: int = 1) -> VideoInfo:
    """Size, pixel format and color of the file to write.

    The source's, with these exceptions: PNG holds RGB or gray of 8 or 16 bits; raw files hold no
    RGB; where the encoder knows no gray, chroma is neutral, and where it knows no 4:1:1 or 4:4:0,
    chroma samples are repeated; encoders other than ffv1 get
    RGB as YUV with 4:2:0 chroma (4:4:4 in odd sizes), and 10 of 16 bits.
    """
    info = dataclasses.replace(
        source, width=source.width * scale, height=source.height * scale, frames=None
    )
    bits, layout = source.pixel_format.bits, source.pixel_format.subsampling
    kind = _kind(path)
    if kind == "png":
        wanted = PixelFormat(8 if bits == 8 else 16, "gray" if layout == "gray" else "rgb")
        if wanted == source.pixel_format:
            return info
        return dataclasses.replace(info, pixel_format=wanted, color=ColorTags(range=2))
    if layout == "gray" and kind == "container" and not takes(codec, source.pixel_format):
        return dataclasses.replace(info, pixel_format=PixelFormat(bits, "420"))
    if layout in _FINER and kind == "container" and not takes(codec, source.pixel_format):
        return dataclasses.replace(info, pixel_format=PixelFormat(bits, _FINER[layout]))
    if layout != "rgb" or (kind == "container" and codec in _TAKES_RGB):
        return info
    odd = info.width % 2 or info.height % 2
    wanted = PixelFormat(
        bits if kind == "planes" or bits <= 12 else 10,
        "444" if kind == "planes" or odd else "420",
    )
    matrix = _TAGS_OF_RGB[info.height > 576]
    color = ColorTags(matrix, 1, source.color.primaries, source.color.transfer, "left")
    return dataclasses.replace(info, pixel_format=wanted, color=color)


def converter(source: VideoInfo, target: VideoInfo) -> Callable[[Frame], Frame]:
    """A function that brings frames from one format to another; it does nothing to equal ones.

    Args:
      target: of the frames returned, of the same size.
    """
    if source.pixel_format == target.pixel_format:
        return lambda frame: frame
    if (source.pixel_format.subsampling, target.pixel_format.subsampling) == ("gray", "420"):
        return functools.partial(_with_neutral_chroma, target)
    if target.pixel_format.subsampling == _FINER.get(source.pixel_format.subsampling):
        return functools.partial(_with_repeated_chroma, target)

    def convert(frame: Frame) -> Frame:
        made = from_rgb(to_rgb(frame, source), target)
        return dataclasses.replace(frame, planes=made.planes, pixel_format=made.pixel_format)

    return convert


def _with_neutral_chroma(target: VideoInfo, frame: Frame) -> Frame:
    bits, dtype = target.pixel_format.bits, target.pixel_format.dtype
    neutral = [np.full(shape, 1 << (bits - 1), dtype) for shape in target.plane_shapes[1:]]
    planes = (frame.planes[0], *neutral)
    return dataclasses.replace(frame, planes=planes, pixel_format=target.pixel_format)


def _with_repeated_chroma(target: VideoInfo, frame: Frame) -> Frame:
    axis = 1 if frame.pixel_format.subsampling == "411" else 0
    planes = [frame.planes[0]]
    for plane, (height, width) in zip(frame.planes[1:], target.plane_shapes[1:], strict=True):
        planes.append(np.repeat(plane, 2, axis)[:height, :width])
    return dataclasses.replace(frame, planes=tuple(planes), pixel_format=target.pixel_format)
