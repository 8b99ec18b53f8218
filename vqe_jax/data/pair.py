"""Pairs of a compressed and a raw clip: what is known of them, and their frames.

:func:`open_pairs` gives a :class:`Pair` for each example of a split. Opening reads only the data
set's index. A pair's planes are checked when they are first used; if they are not there or damaged
(the data set was moved, or built without), the stored stream is decoded once.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vqe_jax.codes import from_codes
from vqe_jax.data.datasets import DATASETS
from vqe_jax.data.planes import PlaneFile, decoded_frames
from vqe_jax.data.store import Store
from vqe_jax.data.stored import StoredFrames
from vqe_jax.errors import UserError, near_misses
from vqe_jax.video import (
    ColorTags,
    VideoInfo,
    codec_family,
    peak_frames,
    peaks_of_scores,
)

__all__ = ["Pair", "PairInfo", "SideInfo", "open_pairs", "video_info"]

_TYPES = "IPB"


@dataclasses.dataclass(frozen=True)
class PairInfo:
    """All of a pair but its pictures.

    Attributes:
      qp: nominal, that was asked for or that the frames' QPs stand for; -1 where unknown.
      width: of both clips, in pixels.
      height: of both clips, in pixels.
      frame_rate: frames per second as a fraction, ``"30000/1001"``; empty where unknown.
      frame_types: a letter a frame in display order, I, P, B or ? where unknown.
      frame_qps: QP of each frame in display order; -1 where unknown.
      duplicates: numbers of the raw frames that equal the one before them to the bit.
      source: the file or photograph the raw clip comes from.
      codec: family of the compressed clip: ``"hevc"``, ``"h264"``, ``"av1"``, ``"vp9"``,
        ``"mpeg2video"``, ``"mpeg4"``, ...; ``"none"`` where nothing was lost.
      quality: nominal, as its encoder counts it: ``"qp 37"``, ``"crf 28"``; empty where unknown.
      recipe: how the compressed clip was made, or the stream that was given.
      variant: what was done to the raw clip before encoding, as JSON; empty: nothing.
      color: the color tags of the raw clip, which hold for both, as JSON.
      psnr_y: mean over frames of the compressed clip's PSNR on luma, in dB.
      raw_format: file name extension of the raw stream, coded without loss.
      compressed_format: file name extension of the compressed stream.
    """

    name: str
    qp: int
    width: int
    height: int
    frames: int
    frame_rate: str
    frame_types: str
    frame_qps: tuple[int, ...]
    duplicates: tuple[int, ...]
    source: str
    codec: str
    quality: str
    recipe: str
    variant: str
    color: str
    psnr_y: float
    raw_format: str
    raw_bytes: int
    raw_sha256: str
    compressed_format: str
    compressed_bytes: int
    compressed_sha256: str

    @property
    def fps(self) -> float:
        """Frames per second; 0 where unknown."""
        return float(Fraction(self.frame_rate)) if self.frame_rate else 0.0

    @property
    def kbps(self) -> float:
        """Bit rate of the compressed clip in kbit/s; 0 where the frame rate is unknown."""
        return self.compressed_bytes * 8 / 1000 * self.fps / self.frames

    @property
    def video(self) -> VideoInfo:
        """The clips as a video that can be converted to RGB."""
        return video_info(dataclasses.asdict(self))

    def stream(self, side: str) -> str:
        """The name of a clip's stream in the store; ``side`` is ``"raw"`` or ``"compressed"``."""
        sha, suffix = (getattr(self, f"{side}_{what}") for what in ("sha256", "format"))
        return f"{sha[:32]}.{suffix}"

    def planes(self, side: str, folder: Path) -> PlaneFile:
        """The file of a clip's decoded planes."""
        sha = self.raw_sha256 if side == "raw" else self.compressed_sha256
        return PlaneFile.of(folder, sha, self.width, self.height, self.frames)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PairInfo:
        """Of what ``dataclasses.asdict`` gave, through JSON.

        Raises:
          TypeError: a field is missing or unknown.
        """
        lists = {k: tuple(v) for k, v in values.items() if isinstance(v, list)}
        return cls(**{**values, **lists})


def video_info(facts: dict[str, Any]) -> VideoInfo:
    """The video that width, height, color and frame rate of a :class:`PairInfo` describe."""
    tags = ColorTags(**json.loads(facts["color"]))
    rate = Fraction(facts["frame_rate"]) if facts["frame_rate"] else None
    return VideoInfo(facts["width"], facts["height"], color=tags, frame_rate=rate)


@dataclasses.dataclass(frozen=True)
class SideInfo:
    """What the stream of one clip says about it.

    Attributes:
      qp: nominal, of the whole clip; -1 where unknown.
      frame_qp: QP of each frame; -1 where unknown.
      frame_type: 0 for I, 1 for P, 2 for B; -1 where unknown.
      peak: True for frames of peak quality (:func:`vqe_jax.video.peak_frames`).
      codec: its family, a value of :data:`vqe_jax.video.CODECS`, for each frame.
    """

    qp: int
    frame_qp: Int[np.ndarray, " t"]
    frame_type: Int[np.ndarray, " t"]
    peak: Bool[np.ndarray, " t"]
    codec: Int[np.ndarray, " t"]


class Pair:
    """A compressed and a raw clip of the same scene."""

    def __init__(self, info: PairInfo, store: Store, cache: Path) -> None:
        self.info = info
        self._store = store
        self._cache = cache
        self._opened: dict[tuple[str, str], StoredFrames] = {}

    def __len__(self) -> int:
        return self.info.frames

    def __repr__(self) -> str:
        i = self.info
        return f"Pair({i.name!r}, qp={i.qp}, {i.width}x{i.height}, {i.frames} frames)"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": {}}  # each process checks what it opens

    @property
    def name(self) -> str:
        """Unique in its data set."""
        return self.info.name

    @property
    def qp(self) -> int:
        """Nominal, of the whole clip; -1 where unknown."""
        return self.info.qp

    @property
    def fps(self) -> float:
        """Frames per second; 0 where unknown."""
        return self.info.fps

    @property
    def frame_types(self) -> str:
        """A letter a frame: I, P, B or ?."""
        return self.info.frame_types

    @property
    def frame_qps(self) -> tuple[int, ...]:
        """QP of each frame; -1 where unknown."""
        return self.info.frame_qps

    @property
    def source(self) -> str:
        """Where the raw clip comes from."""
        return self.info.source

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.info.height, self.info.width

    def side_info(self) -> SideInfo:
        """What the compressed stream says about each frame."""
        return SideInfo(
            qp=self.qp,
            frame_qp=np.array(self.frame_qps, np.int32),
            frame_type=np.array([_TYPES.find(letter) for letter in self.frame_types], np.int32),
            peak=np.array(peak_frames(self.frame_qps, self.frame_types)),
            codec=np.full(len(self), codec_family(self.info.codec), np.int32),
        )

    def true_peaks(self) -> Bool[np.ndarray, " t"]:
        """Which frames are of peak quality by their PSNR on luma; reads the whole clip."""
        sides = (self.clip(side, "luma") for side in ("compressed", "raw"))
        errors = [
            float(np.mean(np.square(now.astype(np.int32) - truth)))
            for now, truth in zip(*sides, strict=True)
        ]
        # As good as their PSNR where only the order counts.
        return np.array(peaks_of_scores([-error for error in errors]))

    def distinct_frames(self) -> Int[np.ndarray, " t"]:
        """Numbers of the frames whose raw picture is not that of the frame before."""
        return np.setdiff1d(np.arange(len(self)), self.info.duplicates)

    def planes(self, side: str) -> PlaneFile:
        """The decoded planes of a clip, decoded now if they are not there.

        Args:
          side: ``"raw"`` or ``"compressed"``.

        Raises:
          UserError: they are missing and so is the stream, or it is damaged.
        """
        planes = self.info.planes(side, self._cache)
        if not planes.exists:
            stream = self._store.whole_stream(*self._stream_of(side))
            try:
                planes.write(decoded_frames(stream, planes, cut=True))
            except PermissionError as err:
                raise UserError(
                    f"{planes.path.parent} cannot be written; give a folder for decoded clips "
                    "(cache_dir)"
                ) from err
        return planes

    def encoded(self, side: str) -> bytes:
        """The stored stream of a clip; ``"raw"`` is coded without loss.

        Raises:
          UserError: it is gone or damaged.
        """
        return self._store.whole_stream(*self._stream_of(side)).read_bytes()

    def _stream_of(self, side: str) -> tuple[str, str]:
        sha = self.info.raw_sha256 if side == "raw" else self.info.compressed_sha256
        return self.info.stream(side), sha

    def clip(self, side: str, color: str) -> StoredFrames:
        """A whole clip, read as it is indexed: ``[t, h, w]`` of luma, ``[t, h, w, 3]`` of RGB.

        Args:
          side: ``"raw"`` or ``"compressed"``.
          color: ``"luma"`` or ``"rgb"``.
        """
        key = (side, color)
        if key not in self._opened:
            planes = self.planes(side)
            self._opened[key] = planes.luma() if color == "luma" else planes.rgb(self.info.video)
        return self._opened[key]

    def read(
        self, side: str, color: str, start: int = 0, count: int | None = None
    ) -> UInt8[np.ndarray, "t h w *c"]:
        """Frames of a clip.

        Args:
          side: ``"raw"`` or ``"compressed"``.
          color: ``"luma"`` (no axis of channels) or ``"rgb"``.
          count: how many; None: all that follow.

        Raises:
          UserError: the clip has no such frames.
        """
        stop = len(self) if count is None else start + count
        if not 0 <= start <= stop <= len(self):
            raise UserError(f"{self.name}: frames {start} to {stop} of a clip of {len(self)}")
        return self.clip(side, color)[start:stop]

    def frames(self, side: str, color: str) -> Iterator[Float[np.ndarray, "h w c"]]:
        """The frames one at a time, in [0, 1]; arguments as of :meth:`read`."""
        for index in range(len(self)):
            frame = from_codes(self.read(side, color, index, 1)[0])
            yield frame[..., None] if color == "luma" else frame


def open_pairs(
    data_dir: str | os.PathLike[str],
    dataset: str,
    split: str,
    config_name: str | Sequence[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
) -> tuple[Pair, ...]:
    """Opens a split of a data set.

    Args:
      dataset: name of it, or of one that opens itself (:mod:`vqe_jax.data.datasets`).
      split: ``"train"``, ``"val"``, ...
      config_name: of one configuration, or of several whose pairs follow each other;
        ``"scenes/mixed"`` names a configuration of another data set.
      cache_dir: folder for decoded planes; None: beside the data set.

    Raises:
      UserError: no such data set, configuration or split; names what there is.
    """
    if dataset in DATASETS:
        return tuple(DATASETS.get(dataset).pairs(split))
    names = (config_name,) if isinstance(config_name, str) else tuple(config_name)
    pairs: list[Pair] = []
    for name in names:
        *other, name = name.split("/", 1)
        store = Store(data_dir, *(other or [dataset]))
        cache = Path(cache_dir) if cache_dir else store.planes
        splits = store.required_index(name)["splits"]
        if split not in splits:
            known = near_misses(split, splits)
            raise UserError(f"{store.dataset}/{name} has no split {split!r}{known}")
        pairs += [Pair(PairInfo.from_json(values), store, cache) for values in splits[split]]
    return tuple(pairs)
