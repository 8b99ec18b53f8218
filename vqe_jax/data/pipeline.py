"""Training batches: random crops of random stretches of frames, out of memory-mapped planes.

The global batch of step n is a function of (seed, n) alone, drawn by a generator seeded with the
two, and each host makes its rows of it; so nothing has to be remembered to resume, grain's iterator
state is just n, and a run goes on with another number of hosts. A crop is a view of the map, and
one call divides it into its place in the batch: no frame is decoded, no Python runs per frame, and
nothing is copied twice, so that one core feeds a device. Crops are handed over as they lie in the
clips; mirrors and turns happen on the device (:mod:`vqe_jax.data.augment`).

Beside the pictures a batch has what the streams say: ``qp`` of each clip, ``frame_qp``,
``frame_type`` and ``peak`` of each frame. A network that chooses the frames it looks at is given
examples of one target frame and the frames chosen for it, by the same rule and from the same side
information as when a file is enhanced.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import grain
import numpy as np
from jaxtyping import Int

from vqe_jax.codes import WHITE
from vqe_jax.data.datasets import DATASETS
from vqe_jax.data.pair import Pair, SideInfo, open_pairs
from vqe_jax.data.stage_inputs import with_inputs
from vqe_jax.data.store import Store, round_name
from vqe_jax.errors import UserError
from vqe_jax.symmetry import MIRRORS, SYMMETRIES, TURNS

__all__ = ["BatchSource", "DataConfig", "References", "batches"]

_UNENDING = 1 << 40
_PATIENCE = 2.0  # seconds between looks for a round that is being built


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What training batches are made of.

    Attributes:
      data_dir: folder of all data sets.
      dataset: name of one, or of one that opens itself (:mod:`vqe_jax.data.datasets`).
      config_name: of a configuration of it, or of several that are mixed; ``"scenes/mixed"`` is
        one of another data set.
      split: of it.
      frames: t, length of a clip.
      crop: height and width of a crop in pixels: one number, or two.
      batch: examples in a step, over all hosts together.
      color: ``"luma"`` (c = 1) or ``"rgb"`` (c = 3).
      flips: mirror left-right and up-down at random, on the device.
      rotations: turn by multiples of 90 degrees at random, on the device; needs square crops.
      reverse: play backwards at random. Off: compressed clips have a direction in time.
      drop_duplicates: leave out frames whose raw picture equals that of the frame before.
      peaks: by what frames are told to be of peak quality: ``"stream"``, by the QPs and types that
        the compressed clips say; ``"truth"``, by their PSNR against the ground truth, which reads
        every clip once before training begins.
      raw_window: add the ground truth of all frames that are looked at, where a network chooses
        them.
      skip_short: leave out clips that are too short or too small for a crop; otherwise an error.
      rounds: of encodings that training goes through in turn, made by ``--rounds`` of the build,
        which may run beside training.
      refresh: steps after which the next round is taken.
      threads: that read ahead.
      ahead: batches that wait ready.
      cache_dir: folder for decoded planes; None: beside the data set.
      inputs_dir: folder of another network's results that stand in for the compressed clips
        (:mod:`vqe_jax.data.stage_inputs`); None: the compressed clips themselves.
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
    peaks: str = "stream"
    raw_window: bool = False
    skip_short: bool = False
    rounds: int = 1
    refresh: int = 1000
    threads: int = 1
    ahead: int = 4
    cache_dir: str | None = None
    inputs_dir: str | None = None

    def __post_init__(self) -> None:
        height, width = self.crop_size
        if self.color not in ("luma", "rgb"):
            raise UserError(f"color {self.color!r} is not 'luma' or 'rgb'")
        if self.peaks not in ("stream", "truth"):
            raise UserError(f"peaks {self.peaks!r} is not 'stream' or 'truth'")
        counts = ("frames", "batch", "rounds", "refresh", "threads", "ahead")
        for name, value in [("crop", min(height, width)), *((c, getattr(self, c)) for c in counts)]:
            if value < 1:
                raise UserError(f"{name} {value}; expected at least 1")
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


@runtime_checkable
class References(Protocol):
    """The rule by which a network chooses the frames it looks at."""

    def prepare(self, side: SideInfo) -> SideInfo:
        """What is known of a clip as the rule wants it, and as the network is told."""

    def indices(self, side: SideInfo, length: int) -> Int[np.ndarray, "t k"]:
        """The frames of the window of every frame of a clip; ``side`` is prepared."""


class BatchSource:
    """Makes the batch of any step; what grain reads from.

    Every place that a crop can have is equally likely, over all pairs together.

    Args:
      host: which of ``hosts`` this is.
      hosts: that share a step's batch equally.
      references: chooses the frames of an example: one target, and a window for it, out of the
        whole clip. None: ``config.frames`` that follow each other.

    Raises:
      UserError: the batch cannot be shared equally, a clip is too short or too small.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        config: DataConfig,
        *,
        seed: int,
        host: int = 0,
        hosts: int = 1,
        references: References | None = None,
    ) -> None:
        if config.batch % hosts:
            raise UserError(f"a batch of {config.batch} cannot be shared equally by {hosts} hosts")
        if not 0 <= host < hosts:
            raise UserError(f"host {host} is not one of {hosts}")
        if references is not None:
            if config.reverse:
                raise UserError("reverse=True and frames chosen by the network exclude each other")
            config = dataclasses.replace(config, frames=1)
        self._config = config
        self._seed = seed
        self._rows = slice(host * config.batch // hosts, (host + 1) * config.batch // hosts)
        self._clips = _usable(pairs, config, references)
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
          ``frame_qp``, ``frame_type`` and ``codec``, int32 ``[b, t]``, and ``peak``, bool
          ``[b, t]``, as of :class:`vqe_jax.data.pair.SideInfo`; ``name`` of the pairs, str
          ``[b]``, for messages.
          With ``references``: ``compressed`` and what is known of its frames has the k frames of
          the window, ``raw`` the target alone, and ``raw_window`` ``[b, k, h, w, c]`` (where the
          config asks for it) is the ground truth of the window.
        """
        config, size = self._config, self._config.batch
        rng = np.random.default_rng([self._seed, step])
        chosen = np.searchsorted(self._share, rng.random(size), side="right")[self._rows]
        backwards = (rng.integers(0, 2, size).astype(bool) & config.reverse)[self._rows]
        places = rng.random((size, 3))[self._rows]
        crops = [
            _place(self._clips[c], config, place, bool(back))
            for c, place, back in zip(chosen, places, backwards, strict=True)
        ]
        result = {
            "compressed": self._pictures(crops, "compressed", "window"),
            "raw": self._pictures(crops, "raw", "target"),
        }
        if config.raw_window:
            result["raw_window"] = self._pictures(crops, "raw", "window")
        clips = [crop.clip for crop in crops]
        result["qp"] = np.array([c.pair.qp for c in clips], np.int32)
        result["name"] = np.array([c.pair.name for c in clips])
        for name in ("frame_qp", "frame_type", "peak", "codec"):
            result[name] = np.stack([getattr(c.clip.side, name)[c.window] for c in crops])
        return result

    def _pictures(self, crops: Sequence[_Crop], side: str, which: str) -> np.ndarray:
        """The crops of one side; ``which`` of their frames, the target or its window."""
        color = self._config.color
        frames = len(getattr(crops[0], which))
        shape = (len(crops), frames, *self._config.crop_size, 3 if color == "rgb" else 1)
        batch = np.empty(shape, np.float32)
        for out, crop in zip(batch, crops, strict=True):
            at = (_as_slice(getattr(crop, which)), crop.rows, crop.columns)
            codes = crop.clip.pair.clip(side, color)[at]
            np.divide(codes if color == "rgb" else codes[..., None], WHITE, out=out)
        return batch


@dataclasses.dataclass(frozen=True)
class _Clip:
    """A pair, the numbers of the frames of it that are used, and what its stream says.

    The frames that are looked at for each of those stand in ``windows``, where they are chosen.
    """

    pair: Pair
    frames: np.ndarray
    side: SideInfo
    windows: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class _Crop:
    """Where an example lies: the target's frames, those that are looked at, rows and columns."""

    clip: _Clip
    target: np.ndarray
    window: np.ndarray
    rows: slice
    columns: slice


def _place(clip: _Clip, config: DataConfig, place: np.ndarray, backwards: bool) -> _Crop:
    """A crop from three numbers in [0, 1)."""
    spans = (config.frames, *config.crop_size)
    sizes = (len(clip.frames), *clip.pair.size)
    starts = [int(u * (n - s + 1)) for u, n, s in zip(place, sizes, spans, strict=True)]
    first, top, left = starts
    target = clip.frames[first : first + config.frames]
    if backwards:
        target = target[::-1]
    window = target if clip.windows is None else clip.windows[first]
    return _Crop(clip, target, window, slice(top, top + spans[1]), slice(left, left + spans[2]))


def _as_slice(frames: np.ndarray) -> Any:
    """Numbers of frames as a slice where they follow each other, which gives a view."""
    steps = np.diff(frames)
    step = int(steps[0]) if len(steps) else 1
    if abs(step) != 1 or (steps != step).any():
        return frames
    stop = int(frames[-1]) + step
    return slice(int(frames[0]), None if stop < 0 else stop, step)


def _places(clip: _Clip, config: DataConfig) -> int:
    """In how many places a crop of a clip can be; 0 where it does not fit."""
    spans = (config.frames, *config.crop_size)
    room = [n - s + 1 for n, s in zip((len(clip.frames), *clip.pair.size), spans, strict=True)]
    return room[0] * room[1] * room[2] if min(room) > 0 else 0


def _clip(pair: Pair, config: DataConfig, references: References | None) -> _Clip:
    frames = pair.distinct_frames() if config.drop_duplicates else np.arange(len(pair))
    side = pair.side_info()
    if config.peaks == "truth":
        side = dataclasses.replace(side, peak=pair.true_peaks())
    if references is None:
        return _Clip(pair, frames, side)
    side = references.prepare(side)
    windows = np.asarray(references.indices(side, len(pair)))
    return _Clip(pair, frames, side, windows[frames])


def _usable(
    pairs: Sequence[Pair], config: DataConfig, references: References | None
) -> list[_Clip]:
    clips = [_clip(pair, config, references) for pair in pairs]
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


class _Rounds:
    """The batch of any step, from the round of encodings that is that step's turn."""

    def __init__(self, config: DataConfig, source: Callable[[int], BatchSource]) -> None:
        self._config = config
        self._source = functools.lru_cache(maxsize=2)(source)
        self._source(0)  # what is wrong is told now

    def __len__(self) -> int:
        return _UNENDING

    def __getitem__(self, step: int) -> dict[str, np.ndarray]:
        return self._source(step // self._config.refresh % self._config.rounds)[step]


def _open_round(config: DataConfig, number: int) -> tuple[Pair, ...]:
    """The pairs of a round; waits for it while a build is under way."""
    names = [config.config_name] if isinstance(config.config_name, str) else config.config_name
    names = [round_name(name, number) for name in names]
    while True:
        building = Store(config.data_dir, config.dataset).is_being_built() if number else False
        try:
            return open_pairs(
                config.data_dir, config.dataset, config.split, names, cache_dir=config.cache_dir
            )
        except UserError as err:
            if not number:
                raise
            if not building:
                hint = f"make {config.rounds} rounds (--rounds {config.rounds})"
                raise UserError(f"{err}; data.rounds={config.rounds}: {hint}") from None
        time.sleep(_PATIENCE)


def batches(
    config: DataConfig,
    *,
    seed: int,
    host: int = 0,
    hosts: int = 1,
    start: int = 0,
    references: References | None = None,
) -> Any:
    """An unending iterator of training batches.

    Args:
      host: which of ``hosts`` this is.
      hosts: that share a step's batch equally; each gets ``batch / hosts`` examples.
      references: as of :class:`BatchSource`.

    Returns:
      A grain iterator of the batches of :class:`BatchSource`; ``get_state()`` and ``set_state()``
      are the step to come.

    Raises:
      UserError: no such data set, or clips that are too short or too small.
    """
    if config.dataset in DATASETS:
        return DATASETS.get(config.dataset).batches(
            config, seed=seed, host=host, hosts=hosts, start=start, references=references
        )

    def source(number: int) -> BatchSource:
        pairs = with_inputs(_open_round(config, number), config.inputs_dir)
        return BatchSource(pairs, config, seed=seed, host=host, hosts=hosts, references=references)

    rounds = _Rounds(config, source)
    options = grain.ReadOptions(num_threads=config.threads, prefetch_buffer_size=config.ahead)
    iterator = iter(grain.MapDataset.source(rounds).to_iter_dataset(options))
    if start:
        iterator.set_state({"next_index": start})
    return iterator
