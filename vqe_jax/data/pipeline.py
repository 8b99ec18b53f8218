"""Training batches: random crops of random stretches of frames, out of memory-mapped planes.

The global batch of step n is a function of (seed, n) alone, drawn by a generator seeded with the
two, and each host makes its rows of it; so nothing has to be remembered to resume, grain's iterator
state is just n, and a run goes on with another number of hosts. A crop is a view of the map, and
one call divides it into its place in the batch: no frame is decoded, no Python runs per frame, and
nothing is copied twice, so that one core feeds a device. Crops are handed over as they lie in the
clips; mirrors and turns happen on the device (:mod:`vqe_jax.data.augment`).

Beside the pictures a batch has what the streams say: ``qp`` of each clip, ``frame_qp``,
``frame_type`` and ``peak`` of each frame.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np
from jaxtyping import Float, UInt8

from vqe_jax.data.inputs import with_inputs
from vqe_jax.data.pair import Pair, SideInfo, open_pairs
from vqe_jax.errors import UserError
from vqe_jax.symmetry import MIRRORS, SYMMETRIES, TURNS

__all__ = ["BatchSource", "DataConfig", "batches", "to_float"]

_UNENDING = 1 << 40
_WHITE = np.float32(255)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What training batches are made of.

    Attributes:
      data_dir: folder of all data sets.
      dataset: name of one.
      config_name: of a configuration of it, or of several that are mixed.
      split: of it.
      frames: t, length of a clip.
      crop: height and width of a crop in pixels: one number, or two.
      batch: examples in a step, over all hosts together.
      color: ``"luma"`` (c = 1) or ``"rgb"`` (c = 3).
      flips: mirror left-right and up-down at random, on the device.
      rotations: turn by multiples of 90 degrees at random, on the device; needs square crops.
      reverse: play backwards at random. Off: compressed clips have a direction in time.
      drop_duplicates: leave out frames whose raw picture equals that of the frame before.
      skip_short: leave out clips that are too short or too small for a crop; otherwise an error.
      threads: that read ahead.
      ahead: batches that wait ready.
      cache_dir: folder for decoded planes; None: beside the data set.
      inputs_dir: folder of another network's results that stand in for the compressed clips
        (:mod:`vqe_jax.data.inputs`); None: the compressed clips themselves.
    """

    data_dir: str = "data"
    dataset: str = "clips"
    config_name: str | Sequence[str] = "qp37"
    split: str = "train"
    frames: int = 7
    crop: int | Sequence[int] = 128
    batch: int = 32
    color: str = "luma"
    flips: bool = True
    rotations: bool = True
    reverse: bool = False
    drop_duplicates: bool = False
    skip_short: bool = False
    threads: int = 1
    ahead: int = 4
    cache_dir: str | None = None
    inputs_dir: str | None = None

    def __post_init__(self) -> None:
        height, width = self.crop_size
        if self.color not in ("luma", "rgb"):
            raise UserError(f"color {self.color!r} is not 'luma' or 'rgb'")
        if min(self.frames, height, width, self.batch, self.threads, self.ahead) < 1:
            raise UserError("frames, crop, batch, threads and ahead must be at least 1")
        if self.rotations and height != width:
            raise UserError(f"rotations need square crops, not {height}x{width}; rotations=False")

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width of a crop."""
        if isinstance(self.crop, int):
            return self.crop, self.crop
        height, width = self.crop
        return int(height), int(width)

    @property
    def symmetries(self) -> tuple[int, ...]:
        """Those that examples are turned by on the device, as numbers (:mod:`vqe_jax.symmetry`)."""
        if self.flips:
            return SYMMETRIES if self.rotations else MIRRORS
        return TURNS if self.rotations else (0,)


def to_float(clips: UInt8[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    """Code values to [0, 1] as float32, each rounded once.

    Args:
      clips: uint8 of any shape.

    Example:
      >>> to_float(np.array([0, 255], np.uint8)).tolist()
      [0.0, 1.0]
    """
    return np.divide(clips, _WHITE)


class BatchSource:
    """Makes the batch of any step; what grain reads from.

    Every place that a crop can have is equally likely, over all pairs together.

    Args:
      pairs: to draw from.
      config: of the batches.
      seed: of everything that is drawn.
      host: which of ``hosts`` this is.
      hosts: that share a step's batch equally.

    Raises:
      UserError: the batch cannot be shared equally, a clip is too short or too small.
    """

    def __init__(
        self, pairs: Sequence[Pair], config: DataConfig, *, seed: int, host: int = 0, hosts: int = 1
    ) -> None:
        if config.batch % hosts:
            raise UserError(f"a batch of {config.batch} cannot be shared equally by {hosts} hosts")
        if not 0 <= host < hosts:
            raise UserError(f"host {host} is not one of {hosts}")
        self._config = config
        self._seed = seed
        self._rows = slice(host * config.batch // hosts, (host + 1) * config.batch // hosts)
        self._clips = _usable(pairs, config)
        places = np.cumsum([_places(c, config) for c in self._clips], dtype=np.float64)
        self._share = places / places[-1]

    def __len__(self) -> int:
        return _UNENDING

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step, this host's rows of it.

        Args:
          step: from 0.

        Returns:
          ``compressed`` and ``raw``, float32 ``[b, t, h, w, c]``; ``qp``, int32 ``[b]``;
          ``frame_qp`` and ``frame_type``, int32 ``[b, t]``, and ``peak``, bool ``[b, t]``, as of
          :class:`vqe_jax.data.pair.SideInfo`; ``name`` of the pairs, str ``[b]``, for messages.
        """
        config, size = self._config, self._config.batch
        rng = np.random.default_rng([self._seed, step])
        chosen = np.searchsorted(self._share, rng.random(size), side="right")[self._rows]
        backwards = (rng.integers(0, 2, size).astype(bool) & config.reverse)[self._rows]
        places = rng.random((size, 3))[self._rows]
        channels = 3 if config.color == "rgb" else 1
        shape = (len(chosen), config.frames, *config.crop_size, channels)
        result = {which: np.empty(shape, np.float32) for which in ("compressed", "raw")}
        clips = [self._clips[c] for c in chosen]
        sides = []
        for i, clip in enumerate(clips):
            frames, *window = self._place(clip, places[i], bool(backwards[i]))
            for which, batch in result.items():
                codes = clip.pair.clip(which, config.color)[(frames, *window)]
                np.divide(codes if channels == 3 else codes[..., None], _WHITE, out=batch[i])
            sides.append((clip.side, frames))
        result["qp"] = np.array([c.pair.qp for c in clips], np.int32)
        result["name"] = np.array([c.pair.name for c in clips])
        for name in ("frame_qp", "frame_type", "peak"):
            result[name] = np.stack([getattr(side, name)[frames] for side, frames in sides])
        return result

    def _place(self, clip: _Clip, place: np.ndarray, backwards: bool) -> tuple[Any, slice, slice]:
        """Which frames, rows and columns a crop has, from three numbers in [0, 1)."""
        spans = (self._config.frames, *self._config.crop_size)
        sizes = (len(clip.frames), *clip.pair.size)
        starts = [int(u * (n - s + 1)) for u, n, s in zip(place, sizes, spans, strict=True)]
        _, rows, columns = (slice(a, a + s) for a, s in zip(starts, spans, strict=True))
        frames = clip.frames[starts[0] : starts[0] + spans[0]]
        if backwards:
            frames = frames[::-1]
        return _as_slice(frames), rows, columns


@dataclasses.dataclass(frozen=True)
class _Clip:
    """A pair, the numbers of the frames of it that are used, and what its stream says."""

    pair: Pair
    frames: np.ndarray
    side: SideInfo


def _as_slice(frames: np.ndarray) -> Any:
    """Numbers of frames as a slice where they follow each other, which gives a view."""
    first, last, step = int(frames[0]), int(frames[-1]), 1 if frames[-1] >= frames[0] else -1
    if abs(last - first) != len(frames) - 1:
        return frames
    stop = last + step
    return slice(first, None if stop < 0 else stop, step)


def _places(clip: _Clip, config: DataConfig) -> int:
    """In how many places a crop of a clip can be; 0 where it does not fit."""
    spans = (config.frames, *config.crop_size)
    room = [n - s + 1 for n, s in zip((len(clip.frames), *clip.pair.size), spans, strict=True)]
    return room[0] * room[1] * room[2] if min(room) > 0 else 0


def _usable(pairs: Sequence[Pair], config: DataConfig) -> list[_Clip]:
    every = np.arange
    clips = [
        _Clip(p, p.distinct_frames() if config.drop_duplicates else every(len(p)), p.side_info())
        for p in pairs
    ]
    usable = [c for c in clips if _places(c, config)]
    short = [c.pair for c in clips if not _places(c, config)]
    if short and (not config.skip_short or not usable):
        height, width = config.crop_size
        raise UserError(
            f"{len(short)} of {len(pairs)} clips have no crop of {config.frames} frames of "
            f"{height}x{width}, such as {short[0]!r}; take fewer frames, a smaller crop, or "
            "skip_short=True"
        )
    if not usable:
        raise UserError(f"{config.dataset}/{config.config_name} has no clips in {config.split!r}")
    return usable


def batches(
    config: DataConfig, *, seed: int, host: int = 0, hosts: int = 1, start: int = 0
) -> grain.DatasetIterator[Any]:
    """An unending iterator of training batches.

    Args:
      config: of the batches.
      seed: of everything that is drawn.
      host: which of ``hosts`` this is.
      hosts: that share a step's batch equally; each gets ``batch / hosts`` examples.
      start: the first step.

    Returns:
      A grain iterator of the batches of :class:`BatchSource`; ``get_state()`` and ``set_state()``
      are the step to come.

    Raises:
      UserError: no such data set, or clips that are too short or too small.
    """
    pairs = open_pairs(
        config.data_dir,
        config.dataset,
        config.split,
        config.config_name,
        cache_dir=config.cache_dir,
    )
    pairs = with_inputs(pairs, config.inputs_dir)
    source = BatchSource(pairs, config, seed=seed, host=host, hosts=hosts)
    options = grain.ReadOptions(num_threads=config.threads, prefetch_buffer_size=config.ahead)
    iterator = iter(grain.MapDataset.source(source).to_iter_dataset(options))
    if start:
        iterator.set_state({"next_index": start})
    return iterator
