"""Opening a data set: :func:`open_pairs` gives a :class:`Pair` for each record of a split.

Opening reads only the metadata. A pair's planes are mapped when they are first used; if they are
not there (the data set was moved, or built without), the record is read and decoded once.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vqe_jax.data import planes
from vqe_jax.data.record import PairInfo
from vqe_jax.data.records import Records, read_index
from vqe_jax.errors import UserError, near_misses

__all__ = ["Pair", "open_pairs"]


class Pair:
    """A compressed and a raw clip of the same scene.

    Attributes:
      info: everything but the pictures.
    """

    def __init__(self, info: PairInfo, records: Path, cache: Path) -> None:
        self.info = info
        self._records = records
        self._cache = cache
        self._mapped: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return self.info.frames

    def __repr__(self) -> str:
        i = self.info
        return f"Pair({i.name!r}, qp={i.qp}, {i.width}x{i.height}, {i.frames} frames)"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}  # maps are opened again, not copied

    @property
    def name(self) -> str:
        """Unique in its data set."""
        return self.info.name

    @property
    def qp(self) -> int:
        """That was asked for."""
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

    def planes(self, which: str) -> np.ndarray:
        """The decoded clip as memory-mapped 8-bit 4:2:0 planes.

        Args:
          which: ``"raw"`` or ``"compressed"``.

        Returns:
          uint8 ``[frames, height * width * 3 / 2]``.

        Raises:
          UserError: they are missing and the record is damaged.
        """
        if which not in self._mapped:
            i = self.info
            file, size = self._file(which), (i.width, i.height, i.frames)
            mapped = planes.open_planes(file, *size)
            if mapped is None:
                self._decode(which, file)
                mapped = planes.open_planes(file, *size)
            assert mapped is not None
            self._mapped[which] = mapped
        return self._mapped[which]

    def _file(self, which: str) -> Path:
        i = self.info
        sha = i.raw_sha256 if which == "raw" else i.compressed_sha256
        return planes.plane_file(self._cache, sha, i.width, i.height, i.frames)

    def encoded(self, which: str) -> bytes:
        """The encoded bytes of a clip, out of its record.

        Args:
          which: ``"raw"`` (coded without loss) or ``"compressed"``.

        Raises:
          UserError: the record is gone or damaged.
        """
        return Records(self._records).read(self.name)[which]

    def _decode(self, which: str, target: Path) -> None:
        i = self.info
        suffix = i.raw_format if which == "raw" else i.compressed_format
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent, prefix="decode_") as folder:
                video = Path(folder) / f"{which}.{suffix}"
                video.write_bytes(self.encoded(which))
                planes.decode(video, target, i.width, i.height, i.frames, cut=True)
        except PermissionError as err:
            raise UserError(
                f"{target.parent} cannot be written; give a folder for decoded clips (cache_dir)"
            ) from err

    def luma(self, which: str) -> UInt8[np.ndarray, "t h w"]:
        """The luma of a whole clip; a view of the memory map.

        Args:
          which: ``"raw"`` or ``"compressed"``.
        """
        return planes.luma_view(self.planes(which), self.info.width, self.info.height)

    def rgb(self, which: str) -> UInt8[np.ndarray, "t h w 3"]:
        """A whole clip as 8-bit RGB; a memory map, made when first asked for.

        Args:
          which: ``"raw"`` or ``"compressed"``.
        """
        key = f"{which}_rgb"
        if key not in self._mapped:
            mapped = planes.open_rgb(self._file(which), self.planes(which), self.info)
            self._mapped[key] = mapped
        return self._mapped[key]

    def raw_luma(self, start: int = 0, count: int | None = None) -> UInt8[np.ndarray, "t h w"]:
        """Luma of the raw clip.

        Args:
          start: first frame.
          count: how many; None: all that follow.
        """
        return self._part(self.luma("raw"), start, count)

    def compressed_luma(
        self, start: int = 0, count: int | None = None
    ) -> UInt8[np.ndarray, "t h w"]:
        """Luma of the compressed clip.

        Args:
          start: first frame.
          count: how many; None: all that follow.
        """
        return self._part(self.luma("compressed"), start, count)

    def raw_rgb(self, start: int = 0, count: int | None = None) -> UInt8[np.ndarray, "t h w 3"]:
        """RGB of the raw clip.

        Args:
          start: first frame.
          count: how many; None: all that follow.
        """
        return self._part(self.rgb("raw"), start, count)

    def compressed_rgb(
        self, start: int = 0, count: int | None = None
    ) -> UInt8[np.ndarray, "t h w 3"]:
        """RGB of the compressed clip.

        Args:
          start: first frame.
          count: how many; None: all that follow.
        """
        return self._part(self.rgb("compressed"), start, count)

    def _part(self, clip: np.ndarray, start: int, count: int | None) -> np.ndarray:
        stop = len(self) if count is None else start + count
        if not 0 <= start <= stop <= len(self):
            raise UserError(f"{self.name}: frames {start} to {stop} of a clip of {len(self)}")
        return clip[start:stop]


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
      data_dir: folder of all data sets.
      dataset: name of it.
      split: ``"train"``, ``"val"``, ...
      config_name: of one configuration, or of several whose pairs follow each other.
      cache_dir: folder for decoded planes; None: beside the data set.

    Raises:
      UserError: no such data set, configuration or split; names what there is.
    """
    root = Path(data_dir).expanduser()
    cache = Path(cache_dir) if cache_dir else root / dataset / ".planes"
    names = (config_name,) if isinstance(config_name, str) else tuple(config_name)
    return tuple(p for name in names for p in _open(root, dataset, split, name, cache))


def _open(root: Path, dataset: str, split: str, config_name: str, cache: Path) -> Iterator[Pair]:
    versions = sorted((root / dataset / config_name).glob("*/metadata.json"))
    index = read_index(versions[-1].parent) if versions else None
    if index is None:
        there = sorted(p.parents[1].name for p in (root / dataset).glob("*/*/metadata.json"))
        known = near_misses(config_name, there) if there else ""
        raise UserError(
            f"no data set {dataset}/{config_name} in {root}{known}; build it: "
            f"python -m vqe_jax.data {dataset} --data-dir {root}"
        )
    if split not in index["splits"]:
        raise UserError(
            f"{dataset}/{config_name} has no split {split!r}{near_misses(split, index['splits'])}"
        )
    for values in index["splits"][split]:
        yield Pair(PairInfo.from_json(values), versions[-1].parent, cache)
