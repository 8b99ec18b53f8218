"""Frames too large for the device's memory, tile by tile.

Where a network's receptive field is finite, every tile brings a margin that wide and only its
core is kept: the result is that of the whole frame. A recurrent state that is made of maps is
kept for the whole frame on the host and cut like the frames, so that it crosses tile borders as
if there were none. Otherwise (attention, sampling along motion, a state without maps) tiles are
blended over their margins.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Network
from vqe_jax.ops.pad import padded_size

__all__ = ["Span", "Tiling", "spans", "tiled_pieces", "tiled_steps"]


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How frames are cut.

    Attributes:
      size: side of a tile in pixels, margins included; bounds the memory.
      margin: what a tile sees beyond its core on each side. None: the network's receptive
        field, or 32 pixels where that is not finite.
    """

    size: int = 512
    margin: int | None = None


@dataclasses.dataclass(frozen=True)
class Span:
    """One axis of a tile: reads ``start .. stop``, answers for ``core_start .. core_stop``."""

    start: int
    stop: int
    core_start: int
    core_stop: int


def spans(length: int, size: int, margin: int, multiple: int) -> list[Span]:
    """Cuts an axis into tiles whose cores cover it once.

    Args:
      length: of the axis, in pixels.
      size: of a tile, a multiple of ``multiple``.
      margin: on each side of a core, a multiple of ``multiple``, less than half of ``size``.
      multiple: what a tile's start must divide by, so that it is padded as the frame is.

    Example:
      >>> [(s.start, s.stop, s.core_start, s.core_stop) for s in spans(20, 12, 2, 2)]
      [(0, 12, 0, 10), (8, 20, 10, 20)]
    """
    if length <= size:
        return [Span(0, length, 0, length)]
    last = -(-(length - size) // multiple) * multiple
    starts = [*range(0, last, size - 2 * margin), last]
    edges = [0, *(start + margin for start in starts[1:]), length]
    stops = [*(start + size for start in starts[:-1]), length]
    return [Span(*span) for span in zip(starts, stops, edges[:-1], edges[1:], strict=True)]


@dataclasses.dataclass(frozen=True)
class _Tile:
    """A rectangle of a frame and the share each of its pixels has in the result."""

    y: Span
    x: Span
    weight: np.ndarray  # [h, w, 1]

    def cut(self, frame: jax.Array) -> jax.Array:
        return frame[self.y.start : self.y.stop, self.x.start : self.x.stop]

    def add(self, canvas: np.ndarray, result: Any, scale: int) -> None:
        """Adds ``[..., h * scale, w * scale, c]`` to the canvas of whole frames."""
        rows, columns = (slice(a.start * scale, a.stop * scale) for a in (self.y, self.x))
        weight = self.weight.repeat(scale, axis=0).repeat(scale, axis=1)
        canvas[..., rows, columns, :] += weight * np.asarray(result)


def _shares(axis: list[Span], margin: int, blend: bool) -> list[np.ndarray]:
    """Per tile the weight of each pixel along one axis; the weights at a pixel sum to 1."""
    total = np.zeros(axis[-1].stop, np.float32)
    raw = []
    for span in axis:
        at = np.arange(span.start, span.stop, dtype=np.float32)
        if blend and margin:
            rise = (at - span.start + 0.5) / (2 * margin) if span.start else np.ones_like(at)
            fall = (span.stop - at - 0.5) / (2 * margin)
            fall = fall if span.stop < axis[-1].stop else np.ones_like(at)
            share = np.clip(np.minimum(rise, fall), 0, 1)
        else:
            share = ((at >= span.core_start) & (at < span.core_stop)).astype(np.float32)
        total[span.start : span.stop] += share
        raw.append(share)
    return [s / total[span.start : span.stop] for s, span in zip(raw, axis, strict=True)]


def _layout(
    height: int, width: int, context: Context, tiling: Tiling, *, blend: bool
) -> tuple[list[_Tile], int]:
    """The tiles of a frame and their margin.

    Raises:
      UserError: tiles with no core between their margins.
    """
    field = 32 if context.receptive_field is None else context.receptive_field
    margin = padded_size(field if tiling.margin is None else tiling.margin, context.multiple, 0)
    size = padded_size(tiling.size, context.multiple, context.min_side)
    if size <= 2 * margin and max(height, width) > size:
        raise UserError(
            f"tile size {size} leaves no core between margins of {margin} pixels; "
            f"use a size above {2 * margin}, better {6 * margin}"
        )
    rows, cols = (spans(n, size, margin, context.multiple) for n in (height, width))
    down, across = (_shares(axis, margin, blend) for axis in (rows, cols))
    return [
        _Tile(y, x, np.multiply.outer(wy, wx)[..., None])
        for (y, wy), (x, wx) in itertools.product(
            zip(rows, down, strict=True), zip(cols, across, strict=True)
        )
    ], margin


def tiled_pieces(
    network: Network, tiling: Tiling, inner: Callable[..., jax.Array]
) -> Callable[..., np.ndarray]:
    """A window network's call over tiles; drop-in for the one over whole frames.

    Args:
      network: whose context says how far a pixel looks.
      tiling: how frames are cut.
      inner: ``(network, variables, frames, *rest)`` gives the enhanced frames.
    """
    context = network.context
    layout = functools.cache(functools.partial(_layout, context=context, tiling=tiling))

    def run(variables: Any, piece: tuple[jax.Array, ...], *rest: Any) -> np.ndarray:
        height, width, _ = piece[0].shape
        canvas: np.ndarray | None = None
        for tile in layout(height, width, blend=context.receptive_field is None)[0]:
            result = inner(network, variables, _cut(tile, piece), *rest)
            if canvas is None:
                canvas = _canvas(result, height, width, context.scale)
            tile.add(canvas, result, context.scale)
        assert canvas is not None
        return canvas

    return run


def _canvas(like: jax.Array, height: int, width: int, scale: int) -> np.ndarray:
    """Zeros for whole frames of as many channels as a tile's result has."""
    shape = (*like.shape[:-3], height * scale, width * scale, like.shape[-1])
    return np.zeros(shape, np.float32)


def tiled_steps(
    network: Network, tiling: Tiling, step: Callable[..., tuple[Any, Any, Any]]
) -> Callable[..., tuple[Any, jax.Array, np.ndarray]]:
    """A recurrent network's step over tiles; drop-in for the one over whole frames.

    Its state is a tree of whole-frame maps on the host, or a list with one state a tile.
    """
    context = network.context
    shared = context.receptive_field is not None and context.state_scale is not None
    layout = functools.cache(
        functools.partial(_layout, context=context, tiling=tiling, blend=not shared)
    )

    def run(
        variables: Any, state: Any, window: tuple[jax.Array, ...], side: Any
    ) -> tuple[Any, jax.Array, np.ndarray]:
        height, width, _ = window[0].shape
        tiles, _ = layout(height, width)
        canvas: np.ndarray | None = None
        states, signs = [], []
        for i, tile in enumerate(tiles):
            before = state if state is None or shared else state[i]
            if shared and state is not None:
                before = _cut_state(state, tile, context)
            after, frame, sign = step(network, variables, before, _cut(tile, window), side)
            if canvas is None:
                canvas = _canvas(frame, height, width, context.scale)
            tile.add(canvas, frame, context.scale)
            states.append(jax.tree.map(np.asarray, after))
            signs.append(np.asarray(sign))
        state = _joined(states, tiles, (height, width), context) if shared else states
        return state, jnp.asarray(canvas), np.max(np.stack(signs), axis=0)

    return run


def _cut(tile: _Tile, window: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    return tuple(map(tile.cut, window))


def _scales(state: Any, context: Context) -> list[int]:
    """How many times smaller than the frame each array of a state is, in the order of leaves."""
    counted = jax.tree.map(
        lambda scale, part: [scale] * len(jax.tree.leaves(part)), context.state_scale, state
    )
    return jax.tree.leaves(counted)


def _map_state(cut: Callable[..., Any], context: Context, state: Any, *others: Any) -> Any:
    """Applies ``cut(scale, array, ...)`` to every array of states of one form."""
    leaves, tree = jax.tree.flatten(state)
    rest = [jax.tree.leaves(other) for other in others]
    scales = _scales(state, context)
    made = [cut(*parts) for parts in zip(scales, leaves, *rest, strict=True)]
    return jax.tree.unflatten(tree, made)


def _place(tile: _Tile, scale: int, context: Context) -> tuple[slice, slice]:
    """Where a tile's map lies in the whole frame's map, ``scale`` times smaller than frames."""
    stops = (
        padded_size(span.stop - span.start, context.multiple, context.min_side) // scale
        for span in (tile.y, tile.x)
    )
    starts = (tile.y.start // scale, tile.x.start // scale)
    rows, cols = (slice(a, a + n) for a, n in zip(starts, stops, strict=True))
    return rows, cols


def _cut_state(state: Any, tile: _Tile, context: Context) -> Any:
    def cut(scale: int, whole: np.ndarray) -> np.ndarray:
        rows, cols = _place(tile, scale, context)
        return whole[..., rows, cols, :]

    return _map_state(cut, context, state)


def _joined(states: list[Any], tiles: list[_Tile], size: tuple[int, int], context: Context) -> Any:
    """Whole-frame maps from the cores of the tiles' maps."""
    height, width = (padded_size(n, context.multiple, context.min_side) for n in size)

    def join(scale: int, *maps: np.ndarray) -> np.ndarray:
        lead, channels = maps[0].shape[:-3], maps[0].shape[-1]
        whole = np.empty((*lead, height // scale, width // scale, channels), maps[0].dtype)
        for tile, part in zip(tiles, maps, strict=True):
            rows, cols = _place(tile, scale, context)
            # Cores end where the next tile's begin; the padding belongs to the last tile.
            skip_y = (tile.y.core_start - tile.y.start) // scale
            skip_x = (tile.x.core_start - tile.x.start) // scale
            inside = (slice(rows.start + skip_y, rows.stop), slice(cols.start + skip_x, cols.stop))
            whole[..., inside[0], inside[1], :] = part[..., skip_y:, skip_x:, :]
        return whole

    return _map_state(join, context, *states)
