"""Chroma planes to the size of luma and back, with the samples where the tag says they lie.

Both ways use the tent of the chroma grid: linear interpolation upwards, its normalised adjoint
downwards ([1 2 1]/4 for samples that coincide with luma, [1 3 3 1]/8 for those in between).
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32

__all__ = ["downsample", "upsample"]

# Where a chroma sample lies in its group: 0 with the first luma sample, 1 with the last.
_ACROSS = {"left": 0.0, "topleft": 0.0, "bottomleft": 0.0, "center": 0.5, "top": 0.5, "bottom": 0.5}
_DOWN = {"top": 0.0, "topleft": 0.0, "left": 0.5, "center": 0.5, "bottom": 1.0, "bottomleft": 1.0}


def _offsets(factors: tuple[int, int], siting: str) -> tuple[float, float]:
    """Position of the first chroma sample in luma samples, down and across."""
    across, down = factors
    return _DOWN[siting] * (down - 1), _ACROSS[siting] * (across - 1)


def _up(plane: np.ndarray, size: int, factor: int, offset: float, axis: int) -> np.ndarray:
    if factor == 1:
        return plane
    position = np.clip((np.arange(size) - offset) / factor, 0, plane.shape[axis] - 1)
    first = np.floor(position).astype(int)
    second = np.minimum(first + 1, plane.shape[axis] - 1)
    share = (position - first).astype(np.float32)
    share = share[:, None] if axis == 0 else share[None, :]
    return np.take(plane, first, axis) * (1 - share) + np.take(plane, second, axis) * share


def _down(plane: np.ndarray, factor: int, offset: float, axis: int) -> np.ndarray:
    if factor == 1:
        return plane
    size = plane.shape[axis]
    start = np.arange(-(-size // factor)) * factor
    total, result = 0.0, np.zeros((), np.float32)
    for tap in range(math.ceil(offset) - factor, math.floor(offset) + factor + 1):
        weight = max(0.0, 1 - abs(tap - offset) / factor)
        if weight:
            taken = np.take(plane, np.clip(start + tap, 0, size - 1), axis)
            result = np.float32(weight) * taken + result
            total += weight
    return result / np.float32(total)


def upsample(
    plane: Float32[np.ndarray, "ch cw"],
    shape: tuple[int, int],
    factors: tuple[int, int],
    siting: str,
) -> Float32[np.ndarray, "h w"]:
    """A chroma plane at the size of luma.

    Args:
      siting: as :class:`vqe_jax.video.ColorTags` names it, resolved.
    """
    down, across = _offsets(factors, siting)
    tall = _up(plane, shape[0], factors[1], down, 0)
    return _up(tall, shape[1], factors[0], across, 1)


def downsample(
    plane: Float32[np.ndarray, "h w"], factors: tuple[int, int], siting: str
) -> Float32[np.ndarray, "ch cw"]:
    """A chroma plane of the size of luma at its own size (odd sizes round up).

    Args:
      siting: as :class:`vqe_jax.video.ColorTags` names it, resolved.
    """
    down, across = _offsets(factors, siting)
    short = _down(plane, factors[1], down, 0)
    return _down(short, factors[0], across, 1)
