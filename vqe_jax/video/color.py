"""Luma alone, and RGB from YUV and back, by matrix, range and chroma siting (ITU-T H.273, 8.3).

E'Y = K_R R + (1 - K_R - K_B) G + K_B B, Cb = (B - E'Y) / (2 (1 - K_B)), Cr likewise; codes are
219 and 224 steps (limited range, at 8 bits) or all of them (full range).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Float32

from vqe_jax.errors import UserError
from vqe_jax.video.chroma import downsample, upsample
from vqe_jax.video.formats import LUMA_WEIGHTS, ColorTags, PixelFormat
from vqe_jax.video.info import Frame, VideoInfo

__all__ = ["from_rgb", "luma", "to_rgb", "with_luma"]

# Luma of RGB pictures, which have no matrix of their own.
_RGB_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def luma(frame: Frame, info: VideoInfo) -> Float32[np.ndarray, "h w"]:
    """The Y plane in [0, 1]: code value over the largest code value, whatever the range.

    Args:
      frame: its chroma is not looked at; of RGB frames the BT.709 luma is taken.
      info: of the video; the frame must have its pixel format.
    """
    _same_format(frame, info)
    if frame.pixel_format.subsampling == "rgb":
        return np.stack(frame.planes, -1).astype(np.float32) @ _RGB_LUMA / _top(frame)
    return frame.planes[0].astype(np.float32) / _top(frame)


def with_luma(frame: Frame, y: Float[np.ndarray, "h w"]) -> Frame:
    """The frame with another Y plane, rounded and clipped to its bits; chroma is passed through.

    Args:
      frame: where chroma and time stamps come from; of RGB frames, R, G and B all move by the
        change in luma, which leaves the differences between them alone.
      y: in [0, 1], as :func:`luma` returns it.
    """
    if frame.pixel_format.subsampling == "rgb":
        stacked = np.stack(frame.planes, -1).astype(np.float32)
        change = y * _top(frame) - stacked @ _RGB_LUMA
        planes = tuple(_codes(plane + change, frame.pixel_format) for plane in frame.planes)
    else:
        planes = (_codes(y * _top(frame), frame.pixel_format), *frame.planes[1:])
    return dataclasses.replace(frame, planes=planes)


def to_rgb(frame: Frame, info: VideoInfo) -> Float32[np.ndarray, "h w 3"]:
    """The frame as RGB in [0, 1], clipped; not linearised.

    Args:
      info: of the video; its color tags, resolved, choose matrix, range and siting.

    Raises:
      UserError: a matrix that is not linear in RGB (ICtCp, constant luminance, YCgCo).
    """
    _same_format(frame, info)
    return np.clip(_rgb(frame, info), 0.0, 1.0)


def from_rgb(rgb: Float[np.ndarray, "h w 3"], info: VideoInfo, like: Frame | None = None) -> Frame:
    """A frame of the video's own format from RGB.

    Args:
      rgb: in [0, 1].
      like: the frame that ``rgb`` is a new version of, if it is one. Only the difference to its
        own RGB is then converted and added, so that what was not changed stays as it was to the
        last bit, colors outside RGB included. Time stamps come from it, too.

    Raises:
      UserError: as :func:`to_rgb`.
    """
    pixel_format, rgb = info.pixel_format, rgb.astype(np.float32)
    if like is None:
        values = _to_codes(_from_matrix(rgb, info), info)
        return Frame(tuple(_codes(v, pixel_format) for v in values), pixel_format)
    _same_format(like, info)
    change = _from_matrix(rgb - to_rgb(like, info), info)
    zero = _to_codes(np.zeros((1, 1, 3), np.float32), info)
    steps = [
        moved - black[:1, :1] for moved, black in zip(_to_codes(change, info), zero, strict=True)
    ]
    planes = (_codes(p + step, pixel_format) for p, step in zip(like.planes, steps, strict=True))
    return dataclasses.replace(like, planes=tuple(planes))


def _same_format(frame: Frame, info: VideoInfo) -> None:
    if frame.pixel_format != info.pixel_format:
        raise UserError(
            f"a frame of {frame.pixel_format.av_name} in a video of {info.pixel_format.av_name}"
        )


def _top(frame: Frame) -> np.float32:
    return np.float32(frame.pixel_format.maximum)


def _codes(values: np.ndarray, pixel_format: PixelFormat) -> np.ndarray:
    return np.clip(np.rint(values), 0, pixel_format.maximum).astype(pixel_format.dtype)


def _weights(color: ColorTags) -> tuple[float, float]:
    if color.matrix not in LUMA_WEIGHTS:
        raise UserError(
            f"color matrix {color.matrix} (ITU-T H.273) cannot be converted to RGB; expected one "
            "of BT.601 (5, 6), BT.709 (1), BT.2020 (9), SMPTE 240M (7), FCC (4)"
        )
    return LUMA_WEIGHTS[color.matrix]


def _scales(color: ColorTags, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """(offset, scale) in code values of luma and of chroma, as arrays of two."""
    if color.range == 2:
        top = (1 << bits) - 1
        offset, scale = (0, 1 << (bits - 1)), (top, top)
    else:
        unit = 1 << (bits - 8)
        offset, scale = (16 * unit, 128 * unit), (219 * unit, 224 * unit)
    return np.array(offset, np.float32), np.array(scale, np.float32)


def _rgb(frame: Frame, info: VideoInfo) -> np.ndarray:
    color, pixel_format = info.resolved_color, frame.pixel_format
    offset, scale = _scales(color, pixel_format.bits)
    if pixel_format.subsampling == "rgb":
        return (np.stack(frame.planes, -1).astype(np.float32) - offset[0]) / scale[0]
    y = (frame.planes[0].astype(np.float32) - offset[0]) / scale[0]
    if pixel_format.subsampling == "gray":
        return np.repeat(y[..., None], 3, axis=-1)
    cb, cr = (
        upsample(
            (plane.astype(np.float32) - offset[1]) / scale[1],
            y.shape,
            pixel_format.factors,
            color.siting,
        )
        for plane in frame.planes[1:]
    )
    kr, kb = _weights(color)
    red = y + np.float32(2 * (1 - kr)) * cr
    blue = y + np.float32(2 * (1 - kb)) * cb
    green = (y - np.float32(kr) * red - np.float32(kb) * blue) / np.float32(1 - kr - kb)
    return np.stack([red, green, blue], axis=-1)


def _from_matrix(rgb: np.ndarray, info: VideoInfo) -> np.ndarray:
    """E'Y, Cb, Cr of RGB, at full size; RGB itself where the video is RGB."""
    if info.pixel_format.subsampling == "rgb":
        return rgb
    color = info.resolved_color
    kr, kb = _weights(color)
    y = rgb @ np.array([kr, 1 - kr - kb, kb], np.float32)
    cb = (rgb[..., 2] - y) / np.float32(2 * (1 - kb))
    cr = (rgb[..., 0] - y) / np.float32(2 * (1 - kr))
    return np.stack([y, cb, cr], axis=-1)


def _to_codes(values: np.ndarray, info: VideoInfo) -> list[np.ndarray]:
    """Code values, not rounded, of each plane at its size."""
    color, pixel_format = info.resolved_color, info.pixel_format
    offset, scale = _scales(color, pixel_format.bits)
    if pixel_format.subsampling == "rgb":
        return [values[..., i] * scale[0] + offset[0] for i in range(3)]
    planes = [values[..., 0] * scale[0] + offset[0]]
    if pixel_format.subsampling != "gray":
        for i in (1, 2):
            small = downsample(values[..., i], pixel_format.factors, color.siting)
            planes.append(small * scale[1] + offset[1])
    return planes
