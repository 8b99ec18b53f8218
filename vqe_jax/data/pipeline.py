"""Training batches: random crops of random stretches of frames, out of memory-mapped planes.

The batch of step n is a function of (seed, n, host) alone: it is drawn by a generator seeded with
those three, so nothing has to be remembered to resume, and grain's iterator state is just n. A crop
is a view of the map, turned or mirrored, and one call divides it into its place in the batch: no
frame is decoded, no Python runs per frame, and nothing is copied twice, so that one core feeds a
device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import grain
import numpy as np
from jaxtyping import Float, UInt8

from vqe_jax.data.inputs import with_inputs
from vqe_jax.data.pairs import Pair, open_pairs
from vqe_jax.data.symmetry import MIRRORS, SYMMETRIES, apply_symmetry
from vqe_jax.errors import UserError

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
      flips: mirror left-right and up-down at random.
      rotations: turn by multiples of 90 degrees at random; needs square crops.
      reverse: play backwards at random. Off: compressed clips have a direction in time.
      frame_qps: add ``"frame_qps"``, the QP of each frame (-1 where unknown).
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
    frame_qps: bool = False
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
        self._seed = (seed, host)
        self._size = config.batch // hosts
        self._pairs = _usable(pairs, config)
        places = np.cumsum([_places(p, config) for p in self._pairs], dtype=np.float64)
        self._share = places / places[-1]
        turns = SYMMETRIES if config.rotations else MIRRORS
        if not config.flips:
            # Rotations without mirrors: 0, 90, 180 and 270 degrees.
            turns = (0, 5, 3, 6) if config.rotations else (0,)
        self._turns = np.array(turns)

    def __len__(self) -> int:
        return _UNENDING

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        """The batch of a step.

        Args:
          step: from 0.

        Returns:
          ``compressed`` and ``raw``, float32 ``[b, t, h, w, c]``; ``qp``, int32 ``[b]``; ``name``
          of the pairs, str ``[b]``, for messages.
        """
        config, size = self._config, self._size
        rng = np.random.default_rng([*self._seed, step])
        chosen = np.searchsorted(self._share, rng.random(size), side="right")
        turns = rng.choice(self._turns, size)
        backwards = rng.integers(0, 2, size).astype(bool) & config.reverse
        places = rng.random((size, 3))
        channels = 3 if config.color == "rgb" else 1
        shape = (size, config.frames, *config.crop_size, channels)
        result = {which: np.empty(shape, np.float32) for which in ("compressed", "raw")}
        orders = []
        for i, pair in enumerate(self._pairs[c] for c in chosen):
            where = self._slices(pair, places[i])
            order = slice(None, None, -1) if backwards[i] else slice(None)
            orders.append((pair, where[0], order))
            for which, batch in result.items():
                clip = pair.rgb(which) if channels == 3 else pair.luma(which)[..., None]
                crop = apply_symmetry(clip[where][order], int(turns[i]), axis=-3)
                np.divide(crop, _WHITE, out=batch[i])
        result["qp"] = np.array([self._pairs[c].qp for c in chosen], np.int32)
        result["name"] = np.array([self._pairs[c].name for c in chosen])
        if config.frame_qps:
            qps = [np.array(p.frame_qps, np.int32)[t][order] for p, t, order in orders]
            result["frame_qps"] = np.stack(qps)
        return result

    def _slices(self, pair: Pair, place: np.ndarray) -> tuple[slice, slice, slice]:
        """Where a crop is, from three numbers in [0, 1)."""
        spans = (self._config.frames, *self._config.crop_size)
        sizes = (len(pair), *pair.size)
        starts = [int(u * (n - s + 1)) for u, n, s in zip(place, sizes, spans, strict=True)]
        first, second, third = (slice(a, a + s) for a, s in zip(starts, spans, strict=True))
        return first, second, third


def _places(pair: Pair, config: DataConfig) -> int:
    """In how many places a crop of a pair can be; 0 where it does not fit."""
    spans = (config.frames, *config.crop_size)
    room = [n - s + 1 for n, s in zip((len(pair), *pair.size), spans, strict=True)]
    return room[0] * room[1] * room[2] if min(room) > 0 else 0


def _usable(pairs: Sequence[Pair], config: DataConfig) -> list[Pair]:
    usable = [p for p in pairs if _places(p, config)]
    short = [p for p in pairs if not _places(p, config)]
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
      A grain iterator of ``{"compressed": f32[b, t, h, w, c], "raw": the same, "qp": i32[b],
      "name": str[b]}``; ``get_state()`` and ``set_state()`` are the step to come.

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
