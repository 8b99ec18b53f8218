"""Enhancing a stream of frames in constant memory, whatever the network.

Everything here is written against :class:`vqe_jax.models.Context` alone. A network that carries a
state goes frame by frame, a window network by pieces with its neighbours around them, and a
bidirectional one either exactly (its first passes kept on disk) or by blended pieces. Frames come
from any iterator and leave as soon as they are done; how they are fed never changes a bit of
the result.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.inference import bidirectional
from vqe_jax.inference.ahead import program
from vqe_jax.inference.devices import Devices, Each
from vqe_jax.inference.guard import Guard, Watch, vitals
from vqe_jax.inference.options import StreamOptions, sorted_out
from vqe_jax.inference.resolve import Frame, Model, Ready, check_frame, resolve
from vqe_jax.inference.scenes import SceneCut, scenes
from vqe_jax.inference.side_info import SideStream
from vqe_jax.inference.tiles import Tiling, tiled_pieces, tiled_steps
from vqe_jax.inference.windows import chunks, copies, surrounded, windows
from vqe_jax.models import Network, Side
from vqe_jax.models.side import FrameInfo

__all__ = ["enhance_frames"]

Frames = Iterator[np.ndarray]

# Enhances one scene: (side information, frames, index of the first frame in the stream) -> frames.
_Run = Callable[[SideStream, Iterable[Frame], int], Frames]

# Frames of a piece together have about this many pixels: 16 of 416x240, one of 1920x1080.
_PIECE_PIXELS = 16 * 416 * 240
_FAST_CHUNK = 30


def enhance_frames(
    model: Model,
    frames: Iterable[Frame],
    *,
    variables: Any = None,
    qp: int | None = None,
    infos: Iterable[FrameInfo] | None = None,
    **options: Any,
) -> Frames:
    """Enhances frames one after the other, holding no more than the network looks at.

    Args:
      model: a packaged name, a path, a model file, ``(module, variables)``, or a module.
      frames: float frames ``[h, w, c]`` in [0, 1], all of one size; any iterable.
      variables: the variables, where ``model`` is a module alone.
      qp: quantization parameter, for networks conditioned on it.
      infos: what is known of each frame, for networks that need it; read along with the frames.
      **options: how, by the names of :class:`vqe_jax.inference.StreamOptions`.

    Yields:
      float32 frames of the same size in the same order; not clipped.

    Raises:
      UserError: frames that are not float or change size, a QP out of range, side information
        that is missing, an unknown option, options that contradict the network.
    """
    ready = resolve(model, variables)
    side = SideStream(ready.network, qp, infos)
    how = _understood(options, ready)
    shared = Devices(how.devices)
    run: _Run
    recurrence = ready.network.context.recurrence
    if recurrence == "forward":
        run = functools.partial(_recurrent, ready, how, shared)
    elif recurrence == "none":
        windowed = _selected if ready.network.context.references else _windowed
        run = _guarded(ready, how.guard, functools.partial(windowed, ready, how, shared))
    elif how.tiling:
        raise UserError(
            f"{type(ready.network).__name__} looks along motion over the whole clip and cannot be "
            "tiled; use long_range='fast' with a shorter chunk to save memory"
        )
    elif how.long_range == "exact":
        _check_alone(ready, how.devices)
        run = functools.partial(_exact, ready, how)
    else:
        run = _guarded(ready, how.guard, functools.partial(_fast, ready, how, shared))
    return _by_scene(functools.partial(run, side), _checked(frames), how.scene_cut)


def _understood(options: Mapping[str, Any], ready: Ready) -> StreamOptions:
    how: StreamOptions
    (how,) = sorted_out("enhance_frames", options, StreamOptions)
    if how.guard is None or how.guard.limit is not None:
        return how
    return dataclasses.replace(how, guard=dataclasses.replace(how.guard, limit=ready.state_limit))


def _by_scene(
    run: Callable[[Iterable[Frame], int], Frames],
    frames: Iterator[Frame],
    scene_cut: SceneCut | None,
) -> Frames:
    first = 0
    for scene in scenes(frames, scene_cut) if scene_cut else [frames]:
        for frame in run(scene, first):
            first += 1
            yield frame


def _checked(frames: Iterable[Frame]) -> Iterator[Frame]:
    shape: tuple[int, ...] | None = None
    for frame in frames:
        check_frame(frame, shape)
        shape = tuple(np.shape(frame))
        yield frame


def _check_alone(ready: Ready, devices: int | None) -> None:
    if devices is not None and devices > 1:
        raise UserError(
            f"devices={devices}: the exact passes of {type(ready.network).__name__} follow each "
            "other on one device; use long_range='fast' to share pieces, or devices=1"
        )


@program(0)
def _step(
    network: Network, variables: Any, state: Any, window: tuple[jax.Array, ...], side: Side
) -> tuple[Any, jax.Array, jax.Array]:
    """One frame of a recurrent network; compiled once for the first and once for the others."""
    stacked = jnp.stack([frame[None] for frame in window], axis=1)
    result: Any = network.apply(variables, state, stacked, side=side, method="step")
    state, frame = result
    source = bidirectional.enlarged(window[network.context.past], network)
    return state, frame[0], vitals(network.fed_back(state), frame[0], source)


@program(0)
def _inner(network: Network, variables: Any, piece: tuple[jax.Array, ...], side: Side) -> jax.Array:
    clip: Any = network.apply(variables, jnp.stack(piece)[None], side=side, method="inner")
    return clip[0]


@program(0)
def _on_windows(
    network: Network,
    variables: Any,
    piece: tuple[jax.Array, ...],
    indices: jax.Array,
    side: Side,
) -> jax.Array:
    windows = jnp.take(jnp.stack(piece), indices, axis=0)[None]
    clip: Any = network.apply(variables, windows, side=side, method="on_windows")
    return clip[0]


def _windowed(
    ready: Ready,
    how: StreamOptions,
    devices: Devices,
    side: SideStream,
    frames: Iterable[Frame],
    first: int,
) -> Frames:
    """A window network: pieces of the stream with their neighbours, one batched call each."""
    network, context = ready.network, ready.network.context
    each: Each = functools.partial(devices.each, _inner, network, ready.variables)
    enhanced = tiled_pieces(network, how.tiling, each) if how.tiling else each
    around = context.past + context.future
    size, stream = _piece_size(how.chunk, devices, map(devices.take, frames))
    for items, wanted in chunks(side.along(stream), size, context.past, context.future):
        shares = [zip(*share, strict=True) for share in _shares(items, around, devices.count)]
        results = enhanced((piece, side.arrays(infos)) for piece, infos in shares)
        done = itertools.chain.from_iterable(map(np.asarray, results))
        yield from itertools.islice(done, wanted)


def _shares(items: Sequence[Any], around: int, count: int) -> list[Sequence[Any]]:
    """A piece with its neighbours cut into as many, all of one length, each with its own."""
    if count == 1:
        return [items]
    size, last = -(-(len(items) - around) // count), len(items) - 1
    starts = range(0, count * size, size)
    return [[items[min(a + i, last)] for i in range(size + around)] for a in starts]


def _piece_size(
    chunk: int | None, devices: Devices, frames: Iterator[Any]
) -> tuple[int, Iterator[Any]]:
    """Frames computed at once by all devices, and the stream from its beginning."""
    head = next(frames, None)
    if head is None:
        return 1, frames
    size = chunk or max(1, _PIECE_PIXELS // (head.shape[0] * head.shape[1]))
    return size * devices.count, itertools.chain([head], frames)


def _selected(
    ready: Ready,
    how: StreamOptions,
    devices: Devices,
    side: SideStream,
    frames: Iterable[Frame],
    first: int,
) -> Frames:
    """A window network that chooses its frames: they come out of a ring as long as its reach."""
    network, selection = ready.network, ready.network.context.references
    assert selection is not None
    each: Each = functools.partial(devices.each, _on_windows, network, ready.variables)
    enhanced = tiled_pieces(network, how.tiling, each) if how.tiling else each
    size, stream = _piece_size(how.chunk, devices, map(devices.take, frames))
    begin = first  # number of a piece's first frame
    for piece in surrounded(side.along(stream), size, selection.lookback, selection.lookahead):
        shown, infos = zip(*piece.items, strict=True)
        rule = selection.starting_at(begin - piece.start)
        begin += piece.stop - piece.start
        chosen = rule.indices(side.host_arrays(infos), len(infos))
        rows = np.broadcast_to(chosen, (1, *chosen.shape[-2:]))[:, piece.start : piece.stop]
        wanted = rows.shape[1]
        spare: tuple[Any, ...] = ()
        full = -(-wanted // devices.count) * devices.count
        if piece.start:  # made as long as the others, so that one program serves them all
            full = size
            spare = (shown[-1],) * (selection.lookback + size + selection.lookahead - len(shown))
        rows = np.pad(rows, [(0, 0), (0, full - wanted), (0, 0)], mode="edge")
        told = side.arrays(infos)
        results = enhanced(
            (shown + spare, share[0], told.windows(share))
            for share in np.split(rows, devices.count, axis=1)
        )
        done = itertools.chain.from_iterable(map(np.asarray, results))
        yield from itertools.islice(done, wanted)


def _recurrent(
    ready: Ready,
    how: StreamOptions,
    devices: Devices,
    side: SideStream,
    frames: Iterable[Frame],
    first: int,
) -> Frames:
    """A network with a state: frame by frame, the state carried and watched."""
    context = ready.network.context
    take, step = _stepping(ready, how.tiling, devices)
    watch = Watch(how.guard) if how.guard else None
    state: Any = None
    done: Any = None
    source = side.along(map(take, frames))
    for index, items in enumerate(windows(source, context.past, context.future), first):
        window, infos = zip(*items, strict=True)
        told = side.arrays(infos)
        attempt = step(state, window, told)  # runs while the last frame is used
        if done is not None:
            yield np.asarray(done)
        state, done, signs = attempt
        if watch is None:
            continue
        reason = watch.look(index, *np.asarray(signs).tolist())
        if reason is None:
            continue
        state, done, signs = step(None, window, told)
        if watch.complaint(*np.asarray(signs).tolist()) is None:
            watch.report(index, "reset", reason)
        else:
            state, done = None, bidirectional.enlarged(window[context.past], ready.network)
            watch.report(index, "passed", reason)
    if done is not None:
        yield np.asarray(done)


def _stepping(
    ready: Ready, tiling: Tiling | None, devices: Devices
) -> tuple[Callable[[Frame], Any], Callable[..., Any]]:
    """How a frame is taken in, and ``(state, window, side) -> (state, frame, signs)``."""
    network, variables = ready.network, ready.variables
    if tiling:
        each: Each = functools.partial(devices.each, _step, network, variables)
        return devices.take, tiled_steps(network, tiling, each)
    placed: list[Any] = []

    def step(state: Any, window: tuple[jax.Array, ...], side: Side) -> Any:
        if not placed:
            placed.append(devices.beside(window[0], variables))
        return _step(network, placed[0], state, window, side)

    return devices.divide, step


def _pass_on(guard: Guard, first: int) -> Callable[[int], None]:
    """Tells the guard's listener of a frame of a scene that was passed through."""
    watch = Watch(guard)
    return lambda index: watch.report(first + index, "passed", "the network's result is not finite")


def _guarded(ready: Ready, guard: Guard | None, run: _Run) -> _Run:
    """Passes frames through whose results are not finite; for networks without a state."""
    if guard is None or guard.passive:
        return run

    def guarded(side: SideStream, frames: Iterable[Frame], first: int) -> Frames:
        passed = _pass_on(guard, first)
        ahead, sources = copies(frames, 2)  # they differ by a piece at most
        for index, (result, source) in enumerate(
            zip(run(side, ahead, first), sources, strict=True)
        ):
            if np.isfinite(result).all():
                yield result
            else:
                passed(index)
                yield bidirectional.enlarged(np.asarray(source, np.float32), ready.network)

    return guarded


def _exact(
    ready: Ready, how: StreamOptions, side: SideStream, frames: Iterable[Frame], first: int
) -> Frames:
    guard = how.guard
    passed = None if guard is None or guard.passive else _pass_on(guard, first)
    return bidirectional.exact(ready.network, ready.variables, side, frames, passed=passed)


def _fast(
    ready: Ready,
    how: StreamOptions,
    devices: Devices,
    side: SideStream,
    frames: Iterable[Frame],
    first: int,
) -> Frames:
    chunk = how.chunk or _FAST_CHUNK
    return bidirectional.fast(
        ready, side, frames, chunk=chunk, overlap=how.overlap, devices=devices
    )
