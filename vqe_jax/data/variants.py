"""Variants of a clip that are true to the codec: what changes does so before the encoder sees it.

Turning or playing back an encoded clip gives artefacts no encoder makes. A :class:`Variant` says
how a clip is cut, thinned out, played backwards, scaled, cropped and turned first; encoding then
makes new artefacts, on a new grid of blocks and in new places of the group of pictures. A variant
is drawn from a seed and the clip's size alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from vqe_jax.symmetry import apply_symmetry
from vqe_jax.video import Frame, VideoInfo

__all__ = ["AugmentOptions", "Variant", "draw_variant", "resize_plane", "vary", "vary_info"]


@dataclasses.dataclass(frozen=True)
class AugmentOptions:
    """What :func:`draw_variant` may do.

    Attributes:
      reverse: half of the variants run backwards.
      max_step: keep every second, ... up to every ``max_step``-th frame.
      min_scale: scale down by up to this factor (1: never).
      min_crop: crop to at least this share of width and height (1: never).
      min_side: neither scaling nor cropping goes below this width or height, in pixels.
      min_frames: thinning out never leaves fewer frames.
      max_frames: longer clips are cut to a stretch of so many frames.
    """

    reverse: bool = True
    max_step: int = 2
    min_scale: float = 0.5
    min_crop: float = 0.7
    turn: bool = True
    min_side: int = 160
    min_frames: int = 32
    max_frames: int = 300


@dataclasses.dataclass(frozen=True)
class Variant:
    """Frames are chosen first, then scaled, cropped and turned.

    Attributes:
      step: take every ``step``-th frame.
      count: how many are taken; None: all.
      size: width and height to scale to; None: as it is.
      crop: x, y, width, height of what is kept after scaling, all even; None: everything.
      symmetry: of :mod:`vqe_jax.symmetry`.
    """

    start: int = 0
    step: int = 1
    count: int | None = None
    reverse: bool = False
    size: tuple[int, int] | None = None
    crop: tuple[int, int, int, int] | None = None
    symmetry: int = 0


def _even(value: float, at_least: int) -> int:
    return max(int(value) // 2 * 2, at_least // 2 * 2)


def draw_variant(
    rng: np.random.Generator, options: AugmentOptions, info: VideoInfo, frames: int
) -> Variant:
    """Draws a variant of a clip.

    Args:
      info: of the clip, 8-bit 4:2:0.
    """
    step = int(rng.integers(1, options.max_step + 1))
    while step > 1 and frames // step < options.min_frames:
        step -= 1
    count = min(frames // step, options.max_frames)
    # A few frames are left out at the start even where all fit: another picture is coded as intra.
    spare = max(frames - count * step, min(8, frames // 8))
    start = int(rng.integers(0, spare + 1))
    count = min(count, max(1, (frames - start) // step))
    reverse = bool(options.reverse and rng.integers(2))
    smallest = min(info.width, info.height)
    floor = min(1.0, max(options.min_scale, options.min_side / smallest))
    # Half stay as they are: scaled pictures are sharper than a camera's.
    scale = float(rng.uniform(floor, 1.0)) if rng.integers(2) else 1.0
    width = _even(info.width * scale, min(options.min_side, info.width))
    height = _even(info.height * scale, min(options.min_side, info.height))
    share = rng.uniform(options.min_crop, 1.0, 2)
    across = _even(width * share[0], min(options.min_side, width))
    down = _even(height * share[1], min(options.min_side, height))
    left = 2 * int(rng.integers(0, (width - across) // 2 + 1))
    top = 2 * int(rng.integers(0, (height - down) // 2 + 1))
    return Variant(
        start=start,
        step=step,
        count=count,
        reverse=reverse,
        size=(width, height) if (width, height) != (info.width, info.height) else None,
        crop=(left, top, across, down) if (across, down) != (width, height) else None,
        symmetry=int(rng.integers(8)) if options.turn else 0,
    )


@functools.lru_cache(maxsize=64)
def _lanczos(out: int, size: int) -> np.ndarray:
    """Rows that resample ``size`` samples to ``out``: Lanczos-3, widened when it shrinks."""
    stretch = max(1.0, size / out)
    center = (np.arange(out) + 0.5) * size / out - 0.5
    distance = (np.arange(size)[None, :] - center[:, None]) / stretch
    weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def resize_plane(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resamples a plane with an antialiased Lanczos-3 filter.

    Args:
      plane: uint8 ``[h, w]``.

    Returns:
      uint8 ``[height, width]``.

    Example:
      >>> resize_plane(np.full((8, 8), 7, np.uint8), 4, 4).tolist()[0]
      [7, 7, 7, 7]
    """
    rows, columns = _lanczos(height, plane.shape[0]), _lanczos(width, plane.shape[1])
    resized = rows @ plane.astype(np.float32) @ columns.T
    return np.clip(np.rint(resized), 0, 255).astype(np.uint8)


def _vary_frame(frame: Frame, variant: Variant) -> Frame:
    planes = frame.planes
    if variant.size:
        width, height = variant.size
        sizes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
        planes = tuple(resize_plane(p, *s) for p, s in zip(planes, sizes, strict=True))
    if variant.crop:
        x, y, width, height = variant.crop
        planes = tuple(
            p[y // d : (y + height) // d, x // d : (x + width) // d]
            for p, d in zip(planes, (1, 2, 2), strict=True)
        )
    planes = tuple(np.ascontiguousarray(apply_symmetry(p, variant.symmetry)) for p in planes)
    return dataclasses.replace(frame, planes=planes, pts=None, duration=None)


def _reversed(frames: Iterable[Frame], spool: Path) -> Iterator[Frame]:
    """Plays frames backwards through a file, so that a long clip is never held in memory."""
    like: Frame | None = None
    count = 0
    with spool.open("wb") as out:
        for like in frames:
            count += 1
            for plane in like.planes:
                out.write(plane.tobytes())
    if like is None:
        return
    shapes = [plane.shape for plane in like.planes]
    ends = np.cumsum([plane.size for plane in like.planes])
    stored = np.memmap(spool, np.uint8, "r", shape=(count, int(ends[-1])))
    for flat in stored[::-1]:
        parts = np.split(flat, ends[:-1])
        planes = tuple(np.array(p).reshape(s) for p, s in zip(parts, shapes, strict=True))
        yield dataclasses.replace(like, planes=planes)
    spool.unlink()


def vary_info(info: VideoInfo, variant: Variant) -> VideoInfo:
    """What a video is after :func:`vary`.

    Args:
      info: of the clip, 8-bit 4:2:0.
    """
    width, height = variant.size or (info.width, info.height)
    if variant.crop:
        width, height = variant.crop[2:]
    if variant.symmetry & 4:
        width, height = height, width
    rate = info.frame_rate / variant.step if info.frame_rate else None
    return dataclasses.replace(info, width=width, height=height, frame_rate=rate, frames=None)


def vary(frames: Iterable[Frame], variant: Variant, spool: Path) -> Iterator[Frame]:
    """Makes a variant of a clip.

    Args:
      frames: 8-bit 4:2:0.
      spool: a file that may be written meanwhile.

    Yields:
      The chosen frames, without time stamps.
    """

    def chosen() -> Iterator[Frame]:
        taken = 0
        for index, frame in enumerate(frames):
            if variant.count is not None and taken == variant.count:
                return
            if index >= variant.start and (index - variant.start) % variant.step == 0:
                taken += 1
                yield _vary_frame(frame, variant)

    return _reversed(chosen(), spool) if variant.reverse else chosen()
