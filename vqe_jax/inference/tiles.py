"""Frames too large for the device's memory, tile by tile.

Where a network's receptive field is finite, every tile brings a margin that wide and only its
core is kept: the result is that of the whole frame. A recurrent state that is made of maps is
kept for the whole frame on the host and cut like the frames, so that it crosses tile borders as
if there were none. Otherwise (attention, sampling along motion, a state without maps) tiles are
blended over their margins; or, as an entry of NTIRE 2021 had it, tiles of four grids that begin in
the corners of the frame keep their centers and are averaged.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from vqe_jax.errors import UserError, check_known
from vqe_jax.inference.devices import Each, Part
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
      mode: "cores": each pixel comes from the tile in whose core it lies, or is blended where the
        receptive field is not finite. "centers": all tiles are of one size, in four grids anchored
        in the four corners; of each the center without its margin counts (of the tiles that begin
        a row or a column, all), and a pixel is the mean of all that it lies in. RCVN's team used
        ``Tiling(72, 5, "centers")`` (PIM, report of NTIRE 2021, section 4.14).
    """

    size: int = 512
    margin: int | None = None
    mode: str = "cores"

    def __post_init__(self) -> None:
        """Refuses a mode that does not exist."""
        check_known("mode=", self.mode, ("cores", "centers"))


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


def centers(length: int, size: int, margin: int) -> tuple[list[Span], list[Span]]:
    """Tiles of one size along an axis, from its beginning and from its end; cores are centers.

    Together the two lists' cores cover the axis.

    Args:
      length: of the axis, in pixels, at least ``size``.
      size: of a tile.
      margin: cut off on both sides, but not in the first of a list.

    Example:
      >>> [(s.start, s.stop, s.core_start, s.core_stop) for s in centers(20, 12, 2)[0]]
      [(0, 12, 0, 12), (8, 20, 10, 18)]
    """
    starts = range(0, length - size + 1, size - 2 * margin)
    first = [Span(a, a + size, a + margin, a + size - margin) for a in starts]
    first[0] = Span(0, size, 0, size)
    mirrored = [
        Span(length - s.stop, length - s.start, length - s.core_stop, length - s.core_start)
        for s in first
    ]
    return first, mirrored


@dataclasses.dataclass(frozen=True)
class _Tile:
    """A rectangle of a frame and the share each of its pixels has in the result."""

    y: Span
    x: Span
    weight: np.ndarray  # [h, w, 1]

    def cut(self, frame: Any) -> Any:
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
) -> list[_Tile]:
    """The tiles of a frame.

    Raises:
      UserError: tiles with no core between their margins.
    """
    field = 32 if context.receptive_field is None else context.receptive_field
    margin = padded_size(field if tiling.margin is None else tiling.margin, context.multiple, 0)
    size = padded_size(tiling.size, context.multiple, context.min_side)
    if size <= 2 * margin and (tiling.mode == "centers" or max(height, width) > size):
        raise UserError(
            f"tile size {size} leaves no core between margins of {margin} pixels; "
            f"use a size above {2 * margin}, better {6 * margin}"
        )
    if tiling.mode == "centers":
        return _centered(height, width, size, margin)
    rows, cols = (spans(n, size, margin, context.multiple) for n in (height, width))
    down, across = (_shares(axis, margin, blend) for axis in (rows, cols))
    return [
        _Tile(y, x, np.multiply.outer(wy, wx)[..., None])
        for (y, wy), (x, wx) in itertools.product(
            zip(rows, down, strict=True), zip(cols, across, strict=True)
        )
    ]


def _centered(height: int, width: int, size: int, margin: int) -> list[_Tile]:
    """The tiles of four grids, each pixel the mean of the centers it lies in.

    Raises:
      UserError: tiles larger than the frame.
    """
    if size > min(height, width):
        raise UserError(
            f"tiles of {size} pixels do not fit into frames of {width}x{height}; use a size of "
            f"{min(height, width)} or less"
        )
    rows, cols = (itertools.chain(*centers(n, size, margin)) for n in (height, width))
    counts = np.zeros((height, width, 1), np.float32)
    tiles = []
    for y, x in itertools.product(rows, cols):
        kept = np.zeros((size, size, 1), np.float32)
        kept[_core(y, is_whole=_is_first(x)), _core(x, is_whole=_is_first(y))] = 1
        counts[y.start : y.stop, x.start : x.stop] += kept
        tiles.append(_Tile(y, x, kept))
    return [dataclasses.replace(tile, weight=tile.weight / tile.cut(counts)) for tile in tiles]


def _is_first(span: Span) -> bool:
    return (span.start, span.stop) == (span.core_start, span.core_stop)


def _core(span: Span, *, is_whole: bool) -> slice:
    """What counts of a tile along one axis; all, where it is the first along the other."""
    if is_whole:
        return slice(None)
    return slice(span.core_start - span.start, span.core_stop - span.start)


def tiled_pieces(network: Network, tiling: Tiling, each: Each) -> Each:
    """A window network's calls over tiles; drop-in for those over whole frames.

    Args:
      each: enhances parts, whose first entries are frames.
    """
    context = network.context
    layout = functools.cache(functools.partial(_layout, context=context, tiling=tiling))

    def run(parts: Iterable[Part]) -> list[np.ndarray]:
        wholes = list(parts)
        height, width, _ = wholes[0][0][0].shape
        tiles = layout(height, width, blend=context.receptive_field is None)
        work = list(itertools.product(tiles, range(len(wholes))))
        cut = ((_cut(tile, wholes[i][0]), *wholes[i][1:]) for tile, i in work)
        canvases: dict[int, np.ndarray] = {}
        for (tile, i), result in zip(work, each(cut), strict=True):
            if i not in canvases:
                canvases[i] = _canvas(result, height, width, context.scale)
            tile.add(canvases[i], result, context.scale)
        return [canvases[i] for i in range(len(wholes))]

    return run


def _canvas(like: Any, height: int, width: int, scale: int) -> np.ndarray:
    """Zeros for whole frames of as many channels as a tile's result has."""
    shape = (*like.shape[:-3], height * scale, width * scale, like.shape[-1])
    return np.zeros(shape, np.float32)


def tiled_steps(
    network: Network, tiling: Tiling, each: Each
) -> Callable[..., tuple[Any, np.ndarray, np.ndarray]]:
    """A recurrent network's step over tiles; drop-in for the one over whole frames.

    Its state is a tree of whole-frame maps on the host, or a list with one state a tile.
    """
    context = network.context
    shared = context.receptive_field is not None and context.state_scale is not None
    shared = shared and tiling.mode == "cores"
    layout = functools.cache(
        functools.partial(_layout, context=context, tiling=tiling, blend=not shared)
    )

    def run(state: Any, window: tuple[Any, ...], side: Any) -> tuple[Any, np.ndarray, np.ndarray]:
        height, width, _ = window[0].shape
        tiles = layout(height, width)

        def part(i: int, tile: _Tile) -> Part:
            before = state if state is None or shared else state[i]
            if shared and state is not None:
                before = _cut_state(state, tile, context)
            return before, _cut(tile, window), side

        canvas: np.ndarray | None = None
        states, signs = [], []
        results = each(itertools.starmap(part, enumerate(tiles)))
        for tile, (after, frame, sign) in zip(tiles, results, strict=True):
            if canvas is None:
                canvas = _canvas(frame, height, width, context.scale)
            tile.add(canvas, frame, context.scale)
            states.append(jax.tree.map(np.asarray, after))
            signs.append(np.asarray(sign))
        after = _joined(states, tiles, (height, width), context) if shared else states
        assert canvas is not None
        return after, canvas, np.max(np.stack(signs), axis=0)

    return run


def _cut(tile: _Tile, window: tuple[Any, ...]) -> tuple[Any, ...]:
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
