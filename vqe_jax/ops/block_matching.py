"""Block matching: where in other frames the block is that is most like one of the current frame.

The squared distance to every block of a frame is a box filter of its squares, less twice its
correlation with the block, plus the block's own square (Hasinoff et al., "Burst photography for
high dynamic range and low-light imaging on mobile cameras", 2016). The correlation is computed by
Fourier transforms of whole frames, or by a convolution, which is faster for small blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from vqe_jax.errors import UserError

__all__ = ["block_corners", "blocks_at", "joined_blocks", "match_blocks"]

Method = Literal["fft", "conv"]
Map = Float[Array, "y x"]

# The distance does not see what is taken from both; around zero, sums lose fewer digits.
_MIDDLE = 0.5
_AT_ONCE = 8  # blocks whose maps of distances are in memory together


def block_corners(height: int, width: int, size: int, stride: int) -> Int[np.ndarray, "n 2"]:
    """Corners (y, x) of blocks that cover a frame, ``stride`` apart, the last ones at its end.

    Args:
      height: of the frame, in pixels.
      width: of the frame, in pixels.
      size: side of a block, at most the frame's.
      stride: between neighboring blocks, at most ``size``.

    Raises:
      UserError: a block that does not fit, or blocks that leave gaps.

    Example:
      >>> block_corners(6, 4, 4, 3).tolist()
      [[0, 0], [2, 0]]
    """
    if not 0 < stride <= size:
        raise UserError(
            f"blocks of {size} pixels every {stride} do not cover a frame; "
            f"use a stride from 1 to {size}"
        )
    if size > min(height, width):
        raise UserError(f"a block of {size} pixels does not fit in a frame of {width}x{height}")
    axes = [sorted({*range(0, n - size, stride), n - size}) for n in (height, width)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return grid.reshape(-1, 2).astype(np.int32)


def blocks_at(
    frame: Float[Array, "h w c"], corners: Int[Array | np.ndarray, "n 2"], size: int
) -> Float[Array, "n s s c"]:
    """The square blocks of a frame with these corners (y, x)."""

    def cut(corner: Array) -> Array:
        return lax.dynamic_slice(frame, (corner[0], corner[1], 0), (size, size, frame.shape[-1]))

    return jax.vmap(cut)(jnp.asarray(corners))


def joined_blocks(
    blocks: Float[Array, "n s s c"],
    corners: Int[np.ndarray, "n 2"],
    shape: tuple[int, int],
    weight: Float[np.ndarray, "s s"],
) -> Float[Array, "h w c"]:
    """A frame from blocks that overlap: their mean at each pixel, weighed within each block.

    Args:
      blocks: their pixels.
      corners: (y, x) of each; together they cover the frame.
    """
    size = len(weight)
    shares = np.zeros(shape, np.float64)
    for y, x in corners:
        shares[y : y + size, x : x + size] += weight
    around = np.arange(size)
    rows = (corners[:, 0, None] + around)[:, :, None]
    columns = (corners[:, 1, None] + around)[:, None, :]
    weighed = blocks * jnp.asarray(weight, blocks.dtype)[None, ..., None]
    total = jnp.zeros((*shape, blocks.shape[-1]), blocks.dtype).at[rows, columns].add(weighed)
    return total / jnp.asarray(shares, blocks.dtype)[..., None]


def match_blocks(
    frame: Float[Array, "h w c"],
    blocks: Float[Array, "n s s c"],
    corners: Int[Array | np.ndarray, "n 2"],
    *,
    search: int | None = None,
    method: Method = "fft",
    tolerance: float = 1e-6,
) -> Int[Array, "n 2"]:
    """The corner of the block of a frame that is nearest to each given one in squared distance.

    Block2Rock (NTIRE 2021), Eq. 10. No gradient goes through it.

    Args:
      frame: in which blocks are looked for; values about in [0, 1].
      corners: where each lies in its own frame, (y, x).
      search: how far from there a match may lie, in pixels each way; None: anywhere.
      method: "fft" or "conv"; both find the same.
      tolerance: mean squared differences that exceed the least by no more than this are equal to
        it, and of these the nearest is taken. Rounding is smaller, so that a still or a flat region
        is matched in its own place; steps of 8 bits are larger.

    Returns:
      Corners (y, x) in ``frame``.

    Example:
      >>> frame = jnp.arange(36.0).reshape(6, 6, 1) / 36
      >>> match_blocks(frame, frame[None, 2:5, 1:4], np.array([[0, 0]]), method="conv").tolist()
      [[2, 1]]
    """
    frame, blocks = (lax.stop_gradient(x.astype(jnp.float32)) - _MIDDLE for x in (frame, blocks))
    size, channels = blocks.shape[1], blocks.shape[-1]
    squares = _box(jnp.sum(jnp.square(frame), axis=-1), size)
    correlate = {"fft": _by_fft, "conv": _by_conv}[method](frame)
    rows, columns = (jnp.arange(n) for n in squares.shape)
    slack = tolerance * size**2 * channels

    def find(x: tuple[Array, Array]) -> Array:
        block, corner = x
        distance = squares - 2 * correlate(block)
        far = [jnp.abs(axis - at) for axis, at in zip((rows, columns), corner, strict=True)]
        if search is not None:
            inside = (far[0] <= search)[:, None] & (far[1] <= search)[None]
            distance = jnp.where(inside, distance, jnp.inf)
        away = jnp.square(far[0])[:, None] + jnp.square(far[1])[None]
        equal = distance <= jnp.min(distance) + slack
        best = jnp.argmin(jnp.where(equal, away, jnp.iinfo(away.dtype).max))
        return jnp.stack(jnp.unravel_index(best, distance.shape)).astype(jnp.int32)

    return lax.map(find, (blocks, jnp.asarray(corners)), batch_size=_AT_ONCE)


def _box(x: Float[Array, "h w"], size: int) -> Map:
    """Sums over all squares of a side that lie inside."""
    for window in ((size, 1), (1, size)):
        x = lax.reduce_window(x, 0.0, lax.add, window, (1, 1), "VALID")
    return x


def _by_fft(frame: Float[Array, "h w c"]) -> Callable[[Array], Map]:
    """Correlation of blocks with a frame, whose transform is computed once."""
    height, width = frame.shape[:2]
    transformed = jnp.fft.rfft2(frame, axes=(0, 1))

    def correlate(block: Float[Array, "s s c"]) -> Map:
        other = jnp.conj(jnp.fft.rfft2(block, s=(height, width), axes=(0, 1)))
        found = jnp.fft.irfft2(jnp.sum(transformed * other, axis=-1), s=(height, width))
        return found[: height - block.shape[0] + 1, : width - block.shape[1] + 1]

    return correlate


def _by_conv(frame: Float[Array, "h w c"]) -> Callable[[Array], Map]:
    """Correlation of blocks with a frame, directly."""

    def correlate(block: Float[Array, "s s c"]) -> Map:
        numbers = ("NHWC", "HWIO", "NHWC")
        kernel = block[..., None]
        found = lax.conv_general_dilated(
            frame[None], kernel, (1, 1), "VALID", dimension_numbers=numbers, precision="highest"
        )
        return found[0, ..., 0]

    return correlate
