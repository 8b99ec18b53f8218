"""Bidirectional networks on clips of any length: exactly, or by blended pieces.

``exact`` makes the network's passes one after the other and keeps what they return at each frame
in a spill file, so that device and host memory do not grow with the clip. ``fast`` cuts the clip
into pieces that overlap and blends their results; a frame near a piece's border knows less of the
far side than it would.
"""

from __future__ import annotations

import errno
import functools
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.inference.ahead import program
from vqe_jax.inference.devices import Devices, Part
from vqe_jax.inference.resolve import Frame, Ready
from vqe_jax.inference.side_info import SideStream
from vqe_jax.inference.windows import overlapping
from vqe_jax.models import Network
from vqe_jax.models.side import FrameInfo

__all__ = ["Spill", "enlarged", "exact", "fast"]

Piece = list[tuple[Frame, FrameInfo]]


class Spill:
    """Trees of arrays, one a frame and all of the same shapes, in a temporary file.

    The file has no name and is gone with the process, however it ends.

    Args:
      way_out: ends the message of a full disk.
    """

    def __init__(self, way_out: str = "") -> None:
        self._way_out = way_out
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._leaves: list[np.ndarray] = []
        self._tree: Any = None

    def put(self, index: int, value: Any) -> None:
        """Keeps the arrays of a frame.

        Raises:
          EnvironmentFailure: the disk is full.
        """
        leaves, self._tree = jax.tree.flatten(value)
        self._leaves = [np.asarray(leaf) for leaf in leaves]
        try:
            self._file.seek(index * self._size)
            for leaf in self._leaves:
                self._file.write(np.ascontiguousarray(leaf).data)
            self._file.flush()  # a full disk shows here, not when the file is closed
        except OSError as err:
            if err.errno != errno.ENOSPC:
                raise
            raise EnvironmentFailure(
                f"{tempfile.gettempdir()} is full after {index * self._size / 1e9:.1f} GB; set "
                f"TMPDIR to a larger disk{self._way_out}"
            ) from None

    def get(self, index: int) -> Any:
        """The arrays of a frame that was put."""
        self._file.seek(index * self._size)
        leaves = [
            np.frombuffer(self._file.read(like.nbytes), like.dtype).reshape(like.shape)
            for like in self._leaves
        ]
        return jax.tree.unflatten(self._tree, leaves)

    def close(self) -> None:
        """Frees the disk."""
        self._file.close()

    @property
    def _size(self) -> int:
        return sum(leaf.nbytes for leaf in self._leaves)


@program(0, 1)
def _sweep(
    network: Network, index: int, variables: Any, state: Any, window: Any, kept: Any, side: Any
) -> tuple[Any, Any]:
    stacked = jnp.stack(window)[None]
    return network.apply(variables, index, state, stacked, kept, side=side, method="sweep")


@program()
def _is_finite(tree: Any) -> jax.Array:
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.stack([jnp.isfinite(x).all() for x in leaves]).all()


def exact(
    network: Network,
    variables: Any,
    side: SideStream | None,
    frames: Iterable[Frame],
    *,
    passed: Callable[[int], None] | None = None,
) -> Iterator[np.ndarray]:
    """Enhances a stream pass by pass; the result is that of the whole clip at once.

    The first result comes when the last frame has been read. The spill file holds the frames
    and, per frame, what each pass but the last returns; it lies in the system's folder for
    temporary files (``TMPDIR``).

    Args:
      network: a network whose ``context.recurrence`` is "both".
      passed: told the index of each frame whose result is not finite; it is passed through then,
        and what the passes carry from frame to frame starts afresh there, so that a flow that is
        not finite costs its own frame and not the clip. None: results are given as they are.

    Raises:
      EnvironmentFailure: the disk of the spill file is full.
    """
    side = side or SideStream(network)
    # The frames, then one a pass but the last.
    spills = [Spill(", or use long_range='fast'") for _ in network.sweeps]
    clip = spills[0]
    try:
        infos: list[FrameInfo] = []
        for frame, info in side.along(frames):
            clip.put(len(infos), np.asarray(frame, np.float32))
            infos.append(info)
        count = len(infos)
        for index, direction in enumerate(network.sweeps):
            is_last = index == len(network.sweeps) - 1
            state = None
            order = range(count) if direction == "forward" else range(count - 1, -1, -1)
            for i in order:
                around = _around(i, count, network)
                window = tuple(clip.get(j) for j in around)
                kept = tuple(spill.get(i) for spill in spills[1 : index + 1])
                sweep = functools.partial(_sweep, network, index, variables)
                told = side.arrays([infos[j] for j in around])
                found = sweep(state, window, kept, told)
                if passed and not _is_finite(found):
                    found = sweep(None, window, kept, told)  # without what it was handed
                broken = passed is not None and not _is_finite(found)
                state, result = (None, found[1]) if broken else found
                if not is_last:
                    spills[index + 1].put(
                        i, jax.tree.map(jnp.zeros_like, result) if broken else result
                    )
                elif passed and broken:
                    passed(i)
                    yield enlarged(clip.get(i), network)
                else:
                    yield np.asarray(result)[0]
    finally:
        for spill in spills:
            spill.close()


def enlarged(frame: Any, network: Network) -> Any:
    """A frame that is passed through, at the size of the network's results.

    Args:
      frame: the input, ``[h, w, c]``, on the host or on the device.
      network: whose ``context.scale`` is met by repeating pixels.
    """
    scale = network.context.scale
    return frame if scale == 1 else frame.repeat(scale, axis=0).repeat(scale, axis=1)


def _around(i: int, count: int, network: Network) -> list[int]:
    around = range(i - network.context.past, i + network.context.future + 1)
    return [min(max(j, 0), count - 1) for j in around]


@program(0)
def _clip(network: Network, variables: Any, clip: jax.Array, side: Any) -> jax.Array:
    return network.apply(variables, clip[None], side=side)[0]


def fast(
    ready: Ready,
    side: SideStream,
    frames: Iterable[Frame],
    *,
    chunk: int,
    overlap: int,
    devices: Devices,
) -> Iterator[np.ndarray]:
    """Enhances overlapping pieces of a stream and blends them linearly where they overlap.

    Args:
      ready: a network whose ``context.recurrence`` is "both".
      overlap: frames that two successive pieces share; at most half a piece.
      devices: each works on a piece.

    Raises:
      UserError: an overlap that is negative or more than half a piece.
    """
    if not 0 <= overlap <= chunk // 2:
        raise UserError(f"overlap={overlap} must be between 0 and half of chunk={chunk}")
    # Weights of the later piece; none is 0 or 1, so every frame of the overlap has both views.
    ramp = (np.arange(overlap, dtype=np.float32) + 1) / np.float32(overlap + 1)
    ramp = ramp[:, None, None, None]
    tail: np.ndarray | None = None
    pieces = overlapping(side.along(frames), chunk, overlap)
    while group := list(itertools.islice(pieces, devices.count)):
        for piece, found in zip(group, _clips(ready, side, group, devices), strict=True):
            result = np.array(found)
            if tail is not None:
                result[:overlap] = (1 - ramp) * tail + ramp * result[:overlap]
            # A full piece is not known to be the last until the next one comes or does not.
            keep = len(result) - overlap if len(piece) == chunk else len(result)
            yield from result[:keep]
            tail = result[keep:]
    if tail is not None:
        yield from tail


def _clips(
    ready: Ready, side: SideStream, pieces: Sequence[Piece], devices: Devices
) -> Iterator[Any]:
    """The pieces enhanced, each as a clip of its own."""

    def part(piece: Piece) -> Part:
        frames, infos = zip(*piece, strict=True)
        return np.stack([np.asarray(frame, np.float32) for frame in frames]), side.arrays(infos)

    return devices.each(_clip, ready.network, ready.variables, map(part, pieces))
