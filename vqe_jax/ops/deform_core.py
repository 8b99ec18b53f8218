"""The computation behind :mod:`vqe_jax.ops.deform`: gathers in row chunks and their gradient.

Frames get a border of zeros and become a table of rows of one offset group's channels. A sample
clamped to the first pixel of that border on each side is zero by itself, so the rule "each corner
outside counts as zero" needs no test in the inner loop, and the four corners of a sample are one
index plus four constants. The backward pass keeps only the inputs and gathers again; both passes
walk over chunks of output rows, so that columns never exist for the whole frame.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

__all__ = ["Geometry", "default_rows", "default_unroll", "deform"]

_MIB = 2**20
# Bytes of columns a chunk. The backward pass keeps about ten times as much at once.
_FORWARD_BYTES = 64 * _MIB
_BACKWARD_BYTES = 16 * _MIB
# XLA's CPU code is fastest with columns that stay in the cache, and twice as fast forward when
# chunks are laid out one after the other as when they are looped over.
_CPU_FORWARD_BYTES, _CPU_BACKWARD_BYTES = 2 * _MIB, 4 * _MIB
_CPU_UNROLL = 8


@dataclasses.dataclass(frozen=True)
class Geometry:
    """What is static about a deformable convolution; pairs are (vertical, horizontal)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    rows: tuple[int, int]  # output rows a chunk, forward and backward
    unroll: int = 0  # up to this many chunks are laid out forward one after the other


class _Samples(NamedTuple):
    """Where samples lie in the table, and how far beyond their upper left corner.

    Groups and taps share an axis: XLA's CPU code spends more time on the index arithmetic of
    short axes than on the samples.
    """

    place: Int[Array, "b r wo s"]
    fy: Float[Array, "b r wo s"]
    fx: Float[Array, "b r wo s"]
    inside: Float[Array, "b r wo s"]  # 0 where no corner touches the frame


def default_rows(columns_bytes: int, rows: int) -> tuple[int, int]:
    """Output rows a chunk, forward and backward, that bound the memory for columns.

    Args:
      columns_bytes: bytes of the columns of the whole frame (and batch).

    Returns:
      Two numbers from 1 to ``rows``.

    Example:
      >>> 1 <= max(default_rows(160 * 2**20, 480)) < 480
      True
    """
    forward, backward = _FORWARD_BYTES, _BACKWARD_BYTES
    if jax.default_backend() == "cpu":
        few = -(-columns_bytes // _CPU_UNROLL)
        forward = min(forward, max(few, _CPU_FORWARD_BYTES))
        backward = _CPU_BACKWARD_BYTES
    per_row = -(-columns_bytes // max(rows, 1))
    forward, backward = (
        max(1, min(rows, limit // max(per_row, 1))) for limit in (forward, backward)
    )
    return forward, backward


def default_unroll() -> int:
    """Chunks that the forward pass lays out one after the other instead of looping."""
    return _CPU_UNROLL + 1 if jax.default_backend() == "cpu" else 1


def _axis(
    offset: Float[Array, "b r wo s"], base: Float[Array, "#b #r #wo s"], size: int
) -> tuple[Int[Array, "b r wo s"], Float[Array, "b r wo s"], Bool[Array, "b r wo s"]]:
    """One coordinate: whole part counted from the border, fraction, and whether it is inside."""
    position = offset + base
    clamped = jnp.clip(position, -1, size)
    whole = jnp.minimum(jnp.floor(clamped), size - 1)
    inside = (position > -1) & (position < size)
    return whole.astype(jnp.int32) + 1, clamped - whole, inside


def _position_type(offset: Array) -> Any:
    """Positions are never computed in less than float32."""
    return offset.dtype if offset.dtype.itemsize >= 4 else jnp.dtype(jnp.float32)


def _locate(
    offset: Float[Array, "b r wo s 2"],
    start: int | Int[Array, ""],
    frame: tuple[int, int],
    geometry: Geometry,
) -> _Samples:
    """Turns the offsets of output rows ``start, start + 1, ...`` into places in the table."""
    _, rows, cols, samples, _ = offset.shape
    dtype = _position_type(offset)
    offset = offset.astype(dtype)
    taps = geometry.kernel[0] * geometry.kernel[1]
    groups = samples // taps
    tap_y, tap_x = np.divmod(np.tile(np.arange(taps), groups), geometry.kernel[1])

    def base(place: Array, tap: np.ndarray, axis: int) -> Float[Array, "n s"]:
        place = place * geometry.stride[axis] - geometry.padding[axis]
        reach = jnp.asarray(tap * geometry.dilation[axis], dtype)
        return place.astype(dtype)[:, None] + reach[None]

    base_y = base(start + jnp.arange(rows), tap_y, 0)[None, :, None]
    base_x = base(jnp.arange(cols), tap_x, 1)[None, None]
    h, w = frame
    iy, fy, in_y = _axis(offset[..., 0], base_y, h)
    ix, fx, in_x = _axis(offset[..., 1], base_x, w)
    group = jnp.asarray(np.repeat(np.arange(groups), taps), jnp.int32)
    index = (iy * (w + 2) + ix) * groups + group[None, None, None]
    return _Samples(index, fy, fx, (in_y & in_x).astype(dtype))


def _table(x: Float[Array, "b h w c"], groups: int) -> Float[Array, "b m *cg"]:
    """Frames with a border of zeros, one row a pixel and offset group.

    Groups of a single channel have no channel axis: XLA's CPU code is twice as slow with one.
    """
    b, h, w, c = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    channels = () if c == groups else (c // groups,)
    return padded.reshape(b, (h + 2) * (w + 2) * groups, *channels)


def _lift(samples: Float[Array, "b r wo s"], like: Array) -> Array:
    """Adds the channel axis that the gathered values have, if they have one."""
    return samples if samples.ndim == like.ndim else samples[..., None]


def _steps(width: int, groups: int) -> tuple[int, int, int, int]:
    """From the index of a sample's upper left corner to its four corners."""
    down, right = (width + 2) * groups, groups
    return 0, right, down, down + right


def _weights(samples: _Samples) -> tuple[Array, Array, Array, Array]:
    fy, fx = samples.fy, samples.fx
    return (1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx


def _gather(
    table: Float[Array, "b m *cg"], index: Int[Array, "b r wo s"], dtype: Any
) -> Float[Array, "b r wo s *cg"]:
    take = jax.vmap(lambda rows, i: rows.at[i].get(mode="promise_in_bounds"))
    return take(table, index).astype(dtype)


def _contract(
    columns: Float[Array, "b r wo s *cg"],
    kernel: Float[Array, "kh kw ci o"],
    taps: int,
    groups: int,
) -> Array:
    """Columns times kernel."""
    b, r, wo, s = columns.shape[:4]
    columns = columns.reshape(b, r, wo, s // taps, taps, -1)
    c = s // taps * columns.shape[-1]
    out = kernel.shape[-1]
    if groups == 1:
        # The kernel is turned to the order in which columns are gathered, not the other way.
        turned = kernel.reshape(taps, s // taps, -1, out).swapaxes(0, 1).reshape(taps * c, out)
        return columns.reshape(b, r, wo, taps * c) @ turned
    split = columns.swapaxes(3, 4).reshape(b, r, wo, taps, groups, c // groups)
    blocks = kernel.reshape(taps, c // groups, groups, out // groups)
    return jnp.einsum("brwkgi,kigo->brwgo", split, blocks).reshape(b, r, wo, out)


def _chunked(
    body: Callable[[Any, Any, int], Any], carry: Any, total: int, rows: int, unroll: int
) -> Any:
    """Runs ``carry = body(carry, start, count)`` over all rows; a shorter last chunk is apart."""
    whole, rest = divmod(total, rows)
    if whole <= unroll:
        for i in range(whole):
            carry = body(carry, i * rows, rows)
    else:
        starts = jnp.arange(whole) * rows
        carry, _ = lax.scan(lambda c, s: (body(c, s, rows), None), carry, starts)
    return body(carry, whole * rows, rest) if rest else carry


def _part(array: Array, start: int | Array, count: int) -> Array:
    return lax.dynamic_slice_in_dim(array, start, count, axis=1)


def _put(whole: Array, part: Array, start: int | Array) -> Array:
    return lax.dynamic_update_slice_in_dim(whole, part.astype(whole.dtype), start, axis=1)


def _merged(array: Array) -> Array:
    """``[b, ho, wo, g, k, ...]`` with groups and taps on one axis."""
    b, ho, wo, g, k, *rest = array.shape
    return array.reshape(b, ho, wo, g * k, *rest)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def deform(
    x: Float[Array, "b h w c"],
    offset: Float[Array, "b ho wo g k 2"],
    mask: Float[Array, "b ho wo g k"] | None,
    kernel: Float[Array, "kh kw ci o"],
    geometry: Geometry,
) -> Float[Array, "b ho wo o"]:
    """Deformable sampling, followed by the kernel; arguments are not checked.

    Args:
      offset: (dy, dx) in pixels.
      mask: multiplies the samples; None for ones.
      geometry: kernel size, stride, padding, dilation, groups, chunks.
    """
    b, h, w, _ = x.shape
    ho, wo, groups, taps = offset.shape[1:5]
    table = _table(x, groups)
    offset = _merged(offset)
    mask = None if mask is None else _merged(mask)

    def body(out: Array, start: int | Array, count: int) -> Array:
        samples = _locate(_part(offset, start, count), start, (h, w), geometry)
        columns: Any = 0.0
        for weight, step in zip(_weights(samples), _steps(w, groups), strict=True):
            corner = _gather(table, samples.place + step, weight.dtype)
            columns += _lift(weight, corner) * corner
        if mask is not None:
            columns *= _lift(_part(mask, start, count).astype(columns.dtype), columns)
        part = _contract(columns.astype(x.dtype), kernel, taps, geometry.groups)
        return _put(out, part, start)

    out = jnp.zeros((b, ho, wo, kernel.shape[-1]), x.dtype)
    return _chunked(body, out, ho, geometry.rows[0], geometry.unroll)


def _forward(x: Array, offset: Array, mask: Any, kernel: Any, geometry: Geometry) -> Any:
    return deform(x, offset, mask, kernel, geometry), (x, offset, mask, kernel)


class _Gradients(NamedTuple):
    table: Array
    offset: Array
    mask: Any  # None where there is no mask
    kernel: Array


def _backward(geometry: Geometry, inputs: Any, cotangent: Array) -> tuple[Any, ...]:
    x, offset, mask, kernel = inputs
    b, h, w, c = x.shape
    ho, _, groups, taps = offset.shape[1:5]
    dtype = _position_type(offset)
    table, steps = _table(x, groups), _steps(w, groups)
    offsets = _merged(offset)
    masks = None if mask is None else _merged(mask)
    contract = functools.partial(_contract, taps=taps, groups=geometry.groups)

    def body(grads: _Gradients, start: int | Array, count: int) -> _Gradients:
        samples = _locate(_part(offsets, start, count), start, (h, w), geometry)
        weights = _weights(samples)
        corners = [_gather(table, samples.place + step, dtype) for step in steps]
        columns: Any = sum(_lift(wt, v) * v for wt, v in zip(weights, corners, strict=True))
        scale = jnp.ones((1,) * 4, dtype)
        if masks is not None:
            scale = _part(masks, start, count).astype(dtype)
        _, pull = jax.vjp(contract, (columns * _lift(scale, columns)).astype(x.dtype), kernel)
        d_columns, d_kernel = pull(_part(cotangent, start, count))
        d_columns = d_columns.astype(dtype)
        # Everything about a sample's place follows from what its four corners are worth.
        worth = [_dot(d_columns, v) for v in corners]
        d_offset = _offset_gradient(worth, samples, scale * samples.inside)
        d_table = grads.table
        for step, weight in zip(steps, weights, strict=True):
            part = _lift(weight * scale, d_columns) * d_columns
            d_table = _scatter_add(d_table, samples.place + step, part)
        d_mask: Any = sum(wt * a for wt, a in zip(weights, worth, strict=True))
        return _Gradients(
            d_table,
            _put(grads.offset, d_offset, start),
            None if masks is None else _put(grads.mask, d_mask, start),
            grads.kernel + d_kernel.astype(dtype),
        )

    zeros = _Gradients(
        jnp.zeros(table.shape, dtype),
        jnp.zeros_like(offsets),
        None if masks is None else jnp.zeros_like(masks),
        jnp.zeros(kernel.shape, dtype),
    )
    grads = _chunked(body, zeros, ho, geometry.rows[1], 1)
    return (
        grads.table.reshape(b, h + 2, w + 2, c)[:, 1:-1, 1:-1].astype(x.dtype),
        grads.offset.reshape(offset.shape),
        None if mask is None else grads.mask.reshape(mask.shape),
        grads.kernel.astype(kernel.dtype),
    )


def _dot(a: Array, b: Array) -> Float[Array, "b r wo s"]:
    """The product summed over the channel axis, if there is one."""
    return a * b if a.ndim == 4 else jnp.sum(a * b, axis=-1)


def _offset_gradient(
    worth: list[Array], samples: _Samples, scale: Float[Array, "#b #r #wo #s"]
) -> Float[Array, "b r wo s 2"]:
    upper_left, upper_right, lower_left, lower_right = worth
    fy, fx = samples.fy, samples.fx
    d_y = (1 - fx) * (lower_left - upper_left) + fx * (lower_right - upper_right)
    d_x = (1 - fy) * (upper_right - upper_left) + fy * (lower_right - lower_left)
    return jnp.stack([d_y * scale, d_x * scale], axis=-1)


def _scatter_add(
    table: Float[Array, "b m *cg"],
    index: Int[Array, "b r wo s"],
    values: Float[Array, "b r wo s *cg"],
) -> Float[Array, "b m *cg"]:
    add = jax.vmap(lambda rows, i, v: rows.at[i].add(v, mode="promise_in_bounds"))
    return add(table, index, values)


deform.defvjp(_forward, _backward)
