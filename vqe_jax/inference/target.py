"""What an enhanced file looks like: the source's own format wherever the target can hold it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vqe_jax.video import ColorTags, Frame, PixelFormat, VideoInfo, from_rgb, to_rgb
from vqe_jax.video.chroma import downsample, upsample
from vqe_jax.video.encoders import takes

__all__ = ["converter", "target_info"]

_PLANES = (".yuv", ".y4m")
# What holds most of a layout that an encoder does not know.
_INSTEAD = {
    "411": ("422", "444", "420"),
    "440": ("444", "420"),
    "410": ("420",),
    "gray": ("420",),
    "rgb": ("444", "422", "420"),
    "444": ("422", "420"),
    "422": ("444", "420"),
}
_DEPTHS = (12, 10, 8)
_TAGS_OF_RGB = {False: 6, True: 1}  # BT.601 for small pictures, BT.709 for large ones


def _kind(path: Path) -> str:
    suffix = path.suffix.lower()
    if not suffix or path.is_dir():
        return "png"
    return "planes" if suffix in _PLANES else "container"


def target_info(path: Path, source: VideoInfo, *, codec: str, scale: int = 1) -> VideoInfo:
    """Size, pixel format and color of the file to write.

    The source's, with these exceptions: PNG holds RGB or gray of 8 or 16 bits, raw files no RGB and
    y4m no 4:1:0. An encoder that does not know the format gets what is closest: more or fewer bits,
    chroma samples that are repeated, neutral chroma, YUV for RGB, fewer chroma samples.
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
    if kind == "container":
        wanted = _closest(codec, source.pixel_format, odd=bool(info.width % 2 or info.height % 2))
    elif layout == "rgb":
        wanted = PixelFormat(bits, "444")
    elif layout == "410" and path.suffix.lower() == ".y4m":
        wanted = PixelFormat(bits, "420")
    else:
        return info
    if wanted.subsampling == "rgb" or layout != "rgb":
        return dataclasses.replace(info, pixel_format=wanted)
    matrix = _TAGS_OF_RGB[info.height > 576]
    color = ColorTags(matrix, 1, source.color.primaries, source.color.transfer, "left")
    return dataclasses.replace(info, pixel_format=wanted, color=color)


def _closest(codec: str, source: PixelFormat, *, odd: bool) -> PixelFormat:
    """What an encoder takes that loses least of a format; the format itself where it takes none."""
    deeper = (source.bits, *(d for d in reversed(_DEPTHS) if d > source.bits))
    depths = (*deeper, *(d for d in _DEPTHS if d < source.bits))
    layouts = (source.subsampling, *_INSTEAD.get(source.subsampling, ()))
    if odd and source.subsampling in ("rgb", "444"):
        layouts = layouts[:-1]  # 4:2:0 of odd sizes is what few encoders take
    for layout in layouts:
        for depth in depths:
            if takes(codec, wanted := PixelFormat(depth, layout)):
                return wanted
    return source


def converter(source: VideoInfo, target: VideoInfo) -> Callable[[Frame], Frame]:
    """A function that brings frames from one format to another; it does nothing to equal ones.

    Args:
      target: of the frames returned, of the same size.
    """
    if source.pixel_format == target.pixel_format:
        return lambda frame: frame
    if "rgb" not in (source.pixel_format.subsampling, target.pixel_format.subsampling):
        return functools.partial(_resampled, source, target)

    def convert(frame: Frame) -> Frame:
        made = from_rgb(to_rgb(frame, source), target)
        alpha = _stretched(frame.alpha, source.pixel_format, target.pixel_format)
        return dataclasses.replace(
            frame, planes=made.planes, pixel_format=made.pixel_format, alpha=alpha
        )

    return convert


def _stretched(
    plane: np.ndarray | None, before: PixelFormat, after: PixelFormat
) -> np.ndarray | None:
    """A plane whose largest value stays the largest."""
    if plane is None or before.bits == after.bits:
        return plane
    return np.rint(plane.astype(np.float64) / before.maximum * after.maximum).astype(after.dtype)


def _resampled(source: VideoInfo, target: VideoInfo, frame: Frame) -> Frame:
    """YUV or gray of another depth or chroma: brightness is only ever rounded."""
    before, after = source.pixel_format, target.pixel_format
    full = source.resolved_color.range == 2
    scale = after.maximum / before.maximum if full else 2.0 ** (after.bits - before.bits)

    def coded(plane: np.ndarray, middle: float = 0.0) -> np.ndarray:
        if before.bits == after.bits and plane.dtype == after.dtype:
            return plane
        values = (plane - middle) * scale + (middle and (1 << (after.bits - 1)))
        return np.clip(np.rint(values), 0, after.maximum).astype(after.dtype)

    planes = [coded(frame.planes[0])]
    half = 1 << (before.bits - 1)
    for index, shape in enumerate(target.plane_shapes[1:], 1):
        if before.subsampling == "gray":
            planes.append(np.full(shape, 1 << (after.bits - 1), after.dtype))
            continue
        chroma = frame.planes[index]
        if chroma.shape != shape:
            chroma = _at_size(chroma, frame.planes[0].shape, shape, source, target)
        planes.append(coded(chroma, float(half)))
    alpha = _stretched(frame.alpha, before, after)
    return dataclasses.replace(frame, planes=tuple(planes), pixel_format=after, alpha=alpha)


def _at_size(
    chroma: np.ndarray,
    luma: tuple[int, ...],
    shape: tuple[int, int],
    source: VideoInfo,
    target: VideoInfo,
) -> np.ndarray:
    """Chroma of another size; samples are repeated where that gives exactly the size."""
    before, after = source.pixel_format.factors, target.pixel_format.factors
    if before[0] % after[0] == 0 and before[1] % after[1] == 0:
        repeated = chroma.repeat(before[1] // after[1], 0).repeat(before[0] // after[0], 1)
        return repeated[: shape[0], : shape[1]]
    siting = source.resolved_color.siting
    size = (luma[0], luma[1])
    large = upsample(chroma.astype(np.float32), size, before, siting)
    small = downsample(large, after, siting)
    top = source.pixel_format.maximum
    return np.clip(np.rint(small), 0, top).astype(chroma.dtype)
