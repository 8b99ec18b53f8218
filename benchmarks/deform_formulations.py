"""Ways to write a deformable convolution in plain JAX; what :mod:`benchmarks.deform` compares.

All take ``x [b, h, w, c], offset [b, h, w, g, k, 2], mask [b, h, w, g, k], kernel [k, k, c, o]``,
stride 1 and the padding that keeps the size, and let JAX differentiate them.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["FORMULATIONS", "plain"]

Formulation = Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]


def _positions(offset: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    _, h, w, _, taps, _ = offset.shape
    tap_y, tap_x = np.divmod(np.arange(taps), size)
    rows = (np.arange(h)[:, None, None, None] + tap_y - size // 2).astype(np.float32)
    cols = (np.arange(w)[:, None, None] + tap_x - size // 2).astype(np.float32)
    return offset[..., 0] + rows, offset[..., 1] + cols


def _product(columns: jax.Array, kernel: jax.Array) -> jax.Array:
    """``[b, h, w, g, k, c / g]`` columns brought to the order of the kernel."""
    b, h, w, g, taps, cg = columns.shape
    flat = columns.swapaxes(3, 4).reshape(b * h * w, taps * g * cg)
    return (flat @ kernel.reshape(taps * g * cg, -1)).reshape(b, h, w, -1)


def plain(x: jax.Array, offset: jax.Array, mask: jax.Array, kernel: jax.Array) -> jax.Array:
    """Four clamped gathers, each corner's weight zero where it is outside."""
    b, h, w, c = x.shape
    g = offset.shape[3]
    y, at = _positions(offset, kernel.shape[0])
    y0, x0 = jnp.floor(y), jnp.floor(at)
    table = x.reshape(b, h * w, g, c // g)
    batch = jnp.arange(b)[:, None, None, None, None]
    group = jnp.arange(g)[:, None]
    columns = jnp.zeros(())
    for yy, wy in ((y0, 1 - (y - y0)), (y0 + 1, y - y0)):
        for xx, wx in ((x0, 1 - (at - x0)), (x0 + 1, at - x0)):
            inside = (yy >= 0) & (yy < h) & (xx >= 0) & (xx < w)
            index = (jnp.clip(yy, 0, h - 1) * w + jnp.clip(xx, 0, w - 1)).astype(jnp.int32)
            weight = wy * wx * mask * inside
            columns = columns + weight[..., None] * table[batch, index, group]
    return _product(columns, kernel)


def _cells(
    x: jax.Array, offset: jax.Array, size: int
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]:
    """Frames with a border of zeros, cells in them, and fractions."""
    h, w = x.shape[1:3]
    y, at = _positions(offset, size)
    y, at = jnp.clip(y, -1, h), jnp.clip(at, -1, w)
    y0, x0 = jnp.minimum(jnp.floor(y), h - 1), jnp.minimum(jnp.floor(at), w - 1)
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return padded, y0.astype(jnp.int32) + 1, x0.astype(jnp.int32) + 1, y - y0, at - x0


def _mix(corners: jax.Array, fy: jax.Array, fx: jax.Array, mask: jax.Array) -> jax.Array:
    """``[..., 2, 2, cg]`` corners, interpolated."""
    fy, fx = fy[..., None], fx[..., None]
    top = corners[..., 0, 0, :] * (1 - fx) + corners[..., 0, 1, :] * fx
    bottom = corners[..., 1, 0, :] * (1 - fx) + corners[..., 1, 1, :] * fx
    return mask[..., None] * (top * (1 - fy) + bottom * fy)


def _take(table: jax.Array, index: jax.Array) -> jax.Array:
    return jax.vmap(lambda t, i: t.at[i].get(mode="promise_in_bounds"))(table, index)


def windows(x: jax.Array, offset: jax.Array, mask: jax.Array, kernel: jax.Array) -> jax.Array:
    """One gather of 2x2 neighbourhoods out of the padded frames."""
    c, g = x.shape[-1], offset.shape[3]
    padded, y0, x0, fy, fx = _cells(x, offset, kernel.shape[0])
    frames = padded.reshape(*padded.shape[:3], g, c // g)
    group = jnp.broadcast_to(jnp.arange(g)[:, None], y0.shape)
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(4, 5, 6), collapsed_slice_dims=(2,), start_index_map=(0, 1, 2)
    )

    def one(frame: jax.Array, start: jax.Array) -> jax.Array:
        return lax.gather(frame, start, numbers, (2, 2, 1, c // g), mode="promise_in_bounds")

    corners = jax.vmap(one)(frames, jnp.stack([y0, x0, group], axis=-1))
    return _product(_mix(corners, fy, fx, mask), kernel)


def packed(x: jax.Array, offset: jax.Array, mask: jax.Array, kernel: jax.Array) -> jax.Array:
    """The corners of every cell packed side by side first: one gather, four times the frame."""
    b, h, w, c = x.shape
    g = offset.shape[3]
    padded, y0, x0, fy, fx = _cells(x, offset, kernel.shape[0])
    shifts = [padded[:, i : h + 1 + i, j : w + 1 + j] for i in (0, 1) for j in (0, 1)]
    quads = jnp.stack(shifts, axis=3).reshape(b, h + 1, w + 1, 4, g, c // g).swapaxes(3, 4)
    index = (y0 * (w + 1) + x0) * g + jnp.arange(g)[:, None]
    corners = _take(quads.reshape(b, -1, 4, c // g), index)
    return _product(_mix(corners.reshape(*index.shape, 2, 2, c // g), fy, fx, mask), kernel)


def bordered(x: jax.Array, offset: jax.Array, mask: jax.Array, kernel: jax.Array) -> jax.Array:
    """Four gathers out of the padded frames at one index and four constants."""
    b, _, w, c = x.shape
    g = offset.shape[3]
    padded, y0, x0, fy, fx = _cells(x, offset, kernel.shape[0])
    table, down = padded.reshape(b, -1, c // g), (w + 2) * g
    index = (y0 * (w + 2) + x0) * g + jnp.arange(g)[:, None]
    corners = [_take(table, index + step) for step in (0, g, down, down + g)]
    stacked = jnp.stack(corners, axis=-2)
    return _product(_mix(stacked.reshape(*index.shape, 2, 2, c // g), fy, fx, mask), kernel)


def by_tap(x: jax.Array, offset: jax.Array, mask: jax.Array, kernel: jax.Array) -> jax.Array:
    """One product a tap, summed: no columns of all taps."""
    size = kernel.shape[0]
    total = jnp.zeros(())
    for tap in range(size**2):
        move = jnp.asarray(np.divmod(tap, size), jnp.float32) - size // 2
        part = slice(tap, tap + 1)
        one = kernel[tap // size, tap % size][None, None]
        total = total + bordered(x, offset[:, :, :, :, part] + move, mask[..., part], one)
    return total


FORMULATIONS: dict[str, Formulation] = {
    "plain": plain,
    "bordered": bordered,
    "windows": windows,
    "packed": packed,
    "by_tap": by_tap,
}
