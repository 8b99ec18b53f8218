"""Enhancing a stream of frames in constant memory, whatever the network.

Everything here is written against :class:`vqe_jax.models.Context` alone. A network that carries a
state goes frame by frame, a window network by pieces with its neighbors around them, and a
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
from vqe_jax.inference.guard import Watch, vitals
from vqe_jax.inference.options import StreamOptions, sorted_out
from vqe_jax.inference.resolve import Frame, Model, Ready, check_frame, resolve
from vqe_jax.inference.scenes import SceneCut, scenes
from vqe_jax.inference.side_info import SideStream
from vqe_jax.inference.tiles import tiled_pieces, tiled_steps
from vqe_jax.inference.windows import chunks, copies, surrounded, windows
from vqe_jax.models import Network, Side
from vqe_jax.models.side import FrameInfo
from vqe_jax.ops.pad import padded_size

__all__ = ["enhance_frames"]

Frames = Iterator[np.ndarray]

# Enhances one scene: (frames, index of the first of them in the stream) -> frames.
_Run = Callable[[Iterable[Frame], int], Frames]

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
    engine = _Engine(ready, how, side, Devices(how.devices))
    run = engine.run() if how.tiling else _in_buckets(engine.run(), ready.network)
    return _by_scene(run, _checked(frames), how.scene_cut)


def _understood(options: Mapping[str, Any], ready: Ready) -> StreamOptions:
    how: StreamOptions
    (how,) = sorted_out("enhance_frames", options, StreamOptions)
    if how.guard is None or how.guard.limit is not None:
        return how
    return dataclasses.replace(how, guard=dataclasses.replace(how.guard, limit=ready.state_limit))


def _by_scene(run: _Run, frames: Iterator[Frame], scene_cut: SceneCut | None) -> Frames:
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


def _in_buckets(run: _Run, network: Network) -> _Run:
    """Pads frames as the network would: sizes that it pads to the same one share its programs."""
    context = network.context

    def run_padded(frames: Iterable[Frame], first: int) -> Frames:
        source = iter(frames)
        head = next(source, None)
        if head is None:
            return
        height, width = head.shape[:2]
        more = [
            padded_size(side, context.multiple, context.min_side) - side for side in (height, width)
        ]
        source = itertools.chain([head], source)
        if not any(more):
            yield from run(source, first)
            return
        ends = [*((0, count) for count in more), (0, 0)]
        padded = (np.pad(np.asarray(frame), ends, mode="edge") for frame in source)
        for frame in run(padded, first):
            yield frame[: height * context.scale, : width * context.scale]

    return run_padded


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


def _shares(items: Sequence[Any], around: int, count: int) -> list[Sequence[Any]]:
    """A piece with its neighbors cut into as many, all of one length, each with its own."""
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


@dataclasses.dataclass(frozen=True)
class _Engine:
    """A stream, and the way to enhance it that suits the network."""

    ready: Ready
    how: StreamOptions
    side: SideStream
    devices: Devices

    def run(self) -> _Run:
        """The function that enhances a scene.

        Raises:
          UserError: options that contradict the network.
        """
        context, network = self.ready.network.context, type(self.ready.network).__name__
        if context.recurrence == "forward":
            return self.recurrent
        if context.recurrence == "none":
            return self._guarded(self.selected if context.references else self.windowed)
        if self.how.tiling:
            raise UserError(
                f"{network} looks along motion over the whole clip and cannot be tiled; use "
                "long_range='fast' with a shorter chunk to save memory"
            )
        if self.how.long_range == "fast":
            return self._guarded(self.fast)
        if (self.how.devices or 1) > 1:
            raise UserError(
                f"devices={self.how.devices}: the exact passes of {network} follow each other on "
                "one device; use long_range='fast' to share pieces, or devices=1"
            )
        return self.exact

    def windowed(self, frames: Iterable[Frame], first: int) -> Frames:
        """A window network: pieces of the stream with their neighbors, one batched call each."""
        context = self.ready.network.context
        enhanced = self._spread(_inner)
        around = context.past + context.future
        size, stream = _piece_size(self.how.chunk, self.devices, map(self.devices.take, frames))
        for items, wanted in chunks(self.side.along(stream), size, context.past, context.future):
            shares = [
                zip(*share, strict=True) for share in _shares(items, around, self.devices.count)
            ]
            results = enhanced((piece, self.side.arrays(infos)) for piece, infos in shares)
            done = itertools.chain.from_iterable(map(np.asarray, results))
            yield from itertools.islice(done, wanted)

    def selected(self, frames: Iterable[Frame], first: int) -> Frames:
        """A window network that chooses its frames, out of a ring as long as its reach."""
        selection, devices = self.ready.network.context.references, self.devices
        assert selection is not None
        around = selection.lookback, selection.lookahead
        enhanced = self._spread(_on_windows)
        size, stream = _piece_size(self.how.chunk, self.devices, map(self.devices.take, frames))
        begin = first  # number of a piece's first frame
        for piece in surrounded(self.side.along(stream), size, *around):
            shown, infos = zip(*piece.items, strict=True)
            rule = selection.starting_at(begin - piece.start)
            begin += piece.stop - piece.start
            chosen = rule.indices(self.side.host_arrays(infos), len(infos))
            rows = np.broadcast_to(chosen, (1, *chosen.shape[-2:]))[:, piece.start : piece.stop]
            wanted = rows.shape[1]
            spare: tuple[Any, ...] = ()
            full = -(-wanted // devices.count) * devices.count
            if piece.start:  # made as long as the others, so that one program serves them all
                full = size
                spare = (shown[-1],) * (sum(around) + size - len(shown))
            rows = np.pad(rows, [(0, 0), (0, full - wanted), (0, 0)], mode="edge")
            told = self.side.arrays(infos)
            results = enhanced(
                (shown + spare, share[0], told.windows(share))
                for share in np.split(rows, devices.count, axis=1)
            )
            done = itertools.chain.from_iterable(map(np.asarray, results))
            yield from itertools.islice(done, wanted)

    def recurrent(self, frames: Iterable[Frame], first: int) -> Frames:
        """A network with a state: frame by frame, the state carried and watched."""
        context = self.ready.network.context
        take, step = self._stepping()
        watch = Watch(self.how.guard) if self.how.guard else None
        state: Any = None
        done: Any = None
        source = self.side.along(map(take, frames))
        for index, items in enumerate(windows(source, context.past, context.future), first):
            window, infos = zip(*items, strict=True)
            told = self.side.arrays(infos)
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
                state, done = None, bidirectional.enlarged(window[context.past], self.ready.network)
                watch.report(index, "passed", reason)
        if done is not None:
            yield np.asarray(done)

    def exact(self, frames: Iterable[Frame], first: int) -> Frames:
        """A bidirectional network, as on the whole clip."""
        network, variables = self.ready.network, self.ready.variables
        passed = self._pass_on(first) if self._mends else None
        return bidirectional.exact(network, variables, self.side, frames, passed=passed)

    def fast(self, frames: Iterable[Frame], first: int) -> Frames:
        """A bidirectional network, by pieces that share frames."""
        chunk, overlap = self.how.chunk or _FAST_CHUNK, self.how.overlap
        return bidirectional.fast(
            self.ready, self.side, frames, chunk=chunk, overlap=overlap, devices=self.devices
        )

    @property
    def _mends(self) -> bool:
        """Whether a frame whose result is not finite is passed through."""
        return self.how.guard is not None and not self.how.guard.passive

    def _pass_on(self, first: int) -> Callable[[int], None]:
        """Tells the guard's listener of a frame of a scene that was passed through."""
        assert self.how.guard is not None
        watch = Watch(self.how.guard)
        return lambda index: watch.report(
            first + index, "passed", "the network's result is not finite"
        )

    def _guarded(self, run: _Run) -> _Run:
        """Passes frames through whose results are not finite; for networks without a state."""
        if not self._mends:
            return run

        def guarded(frames: Iterable[Frame], first: int) -> Frames:
            passed = self._pass_on(first)
            ahead, sources = copies(frames, 2)  # they differ by a piece at most
            for index, (result, source) in enumerate(zip(run(ahead, first), sources, strict=True)):
                if np.isfinite(result).all():
                    yield result
                else:
                    passed(index)
                    yield bidirectional.enlarged(np.asarray(source, np.float32), self.ready.network)

        return guarded

    def _spread(self, program: Callable[..., Any]) -> Each:
        """The program on pieces, over devices and tiles."""
        network = self.ready.network
        each: Each = functools.partial(self.devices.each, program, network, self.ready.variables)
        return tiled_pieces(network, self.how.tiling, each) if self.how.tiling else each

    def _stepping(self) -> tuple[Callable[[Frame], Any], Callable[..., Any]]:
        """How a frame is taken in, and ``(state, window, side) -> (state, frame, signs)``."""
        network, variables = self.ready.network, self.ready.variables
        if self.how.tiling:
            each: Each = functools.partial(self.devices.each, _step, network, variables)
            return self.devices.take, tiled_steps(network, self.how.tiling, each)
        placed: list[Any] = []

        def step(state: Any, window: tuple[jax.Array, ...], side: Side) -> Any:
            if not placed:
                placed.append(self.devices.beside(window[0], variables))
            return _step(network, placed[0], state, window, side)

        return self.devices.divide, step
