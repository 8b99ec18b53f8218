"""The one layout of the clips in a data set: 8 bits, 4:2:0, even width and height.

It is what HEVC's Main profile codes and what the sets of the literature hold. Other layouts are
reduced to it before anything is encoded, so that the raw clip of a pair is exactly what the encoder
saw: more bits are rounded to 8, finer chroma is averaged, RGB goes through the matrix of the
video's tags, and an odd last row or column is left out.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.video import Frame, PixelFormat, VideoInfo, from_rgb, to_rgb

__all__ = ["YUV420P8", "as_yuv420p8", "yuv420p8_info"]

YUV420P8 = PixelFormat(8, "420")
_NEUTRAL = 128


def yuv420p8_info(info: VideoInfo) -> VideoInfo:
    """What a video is after :func:`as_yuv420p8`.

    Raises:
      UserError: it is less than 2 pixels wide or high.
    """
    if min(info.width, info.height) < 2:
        raise UserError(f"a picture of {info.width}x{info.height} pixels cannot be coded as 4:2:0")
    color = info.color
    if info.pixel_format.subsampling == "rgb":
        # RGB has no matrix of its own: the one a player would assume for this height.
        matrix = dataclasses.replace(color, matrix=2, range=1)
        color = matrix.resolved(info.height, "420")
    return dataclasses.replace(
        info,
        width=info.width // 2 * 2,
        height=info.height // 2 * 2,
        pixel_format=YUV420P8,
        color=color,
    )


def _eight_bits(plane: np.ndarray, bits: int) -> np.ndarray:
    if bits == 8:
        return plane
    rounded = (plane.astype(np.uint32) + (1 << (bits - 9))) >> (bits - 8)
    return np.minimum(rounded, 255).astype(np.uint8)


def _average(plane: np.ndarray, down: int, across: int) -> np.ndarray:
    """Means of blocks of ``down`` x ``across`` samples, rounded."""
    if down == across == 1:
        return plane
    height, width = plane.shape[0] // down, plane.shape[1] // across
    blocks = plane[: height * down, : width * across].astype(np.uint16)
    total = blocks.reshape(height, down, width, across).sum(axis=(1, 3), dtype=np.uint16)
    return ((total + down * across // 2) // (down * across)).astype(np.uint8)


def as_yuv420p8(frame: Frame, info: VideoInfo) -> Frame:
    """Reduces a frame to 8-bit 4:2:0; one that is so already keeps its samples.

    Raises:
      UserError: its chroma is coarser than 4:2:0 (4:1:1).
    """
    layout = frame.pixel_format
    if layout.subsampling == "rgb":
        target = yuv420p8_info(info)
        rgb = to_rgb(frame, info)[: target.height, : target.width]
        return from_rgb(rgb, target)
    across, down = layout.factors
    if across > 2 or down > 2:
        raise UserError(
            f"chroma {layout.subsampling} is coarser than 4:2:0; convert the video first"
        )
    luma = _eight_bits(frame.planes[0], layout.bits)
    height, width = luma.shape[0] // 2, luma.shape[1] // 2
    if layout.subsampling == "gray":
        neutral = np.full((height, width), _NEUTRAL, np.uint8)
        chroma = [neutral, neutral]
    else:
        whole = [_eight_bits(p, layout.bits) for p in frame.planes[1:]]
        chroma = [_average(p, 2 // down, 2 // across)[:height, :width] for p in whole]
    planes = (luma[: 2 * height, : 2 * width], *chroma)
    return dataclasses.replace(frame, planes=planes, pixel_format=YUV420P8)
