"""What is to be encoded: where frames come from, what is done to them, and by which recipe.

A :class:`ClipJob` is all that a worker process needs. Its two keys name what is made of it, the raw
clip and the compressed one: the same frames, variant and recipe give the same keys, so what is
built already is found again, a source that was changed is not, and jobs that differ in the recipe
alone share their raw clip.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vqe_jax.data.recipes import Recipe
from vqe_jax.data.variants import AugmentOptions, Variant, draw_variant
from vqe_jax.data.yuv420 import as_yuv420p8, yuv420p8_info
from vqe_jax.errors import UserError
from vqe_jax.video import Frame, VideoInfo, open_reader

__all__ = ["ClipJob", "Origin", "VideoOrigin"]

# Raised when the same job would give other bytes.
_FORM = 2


@runtime_checkable
class Origin(Protocol):
    """Where raw frames come from."""

    @property
    def source(self) -> str:
        """What the record says about it."""

    def identity(self) -> Any:
        """Plain values that change when the frames do."""

    @property
    def frames(self) -> int | None:
        """How many frames are used at most."""

    def open(self) -> tuple[VideoInfo, Iterable[Frame]]:
        """Description, and frames (8-bit 4:2:0, repeatable)."""

    def length(self) -> int:
        """About how many frames there are; may have to count them."""


@dataclasses.dataclass(frozen=True)
class VideoOrigin:
    """Frames of a video file or a folder of PNG.

    Attributes:
      frames: how many are used at most; None: all.
      frame_rate: frames per second, for files that do not say it ("25" or "30000/1001").
    """

    path: str
    frames: int | None = None
    frame_rate: str | None = None

    @property
    def source(self) -> str:
        """The path."""
        return self.path

    def identity(self) -> Any:
        """Name, size and time of change; reading whole films to hash them would take too long."""
        path = Path(self.path)
        files = sorted(path.glob("*.png")) if path.is_dir() else [path]
        try:
            stats = [f.stat() for f in files]
        except OSError as err:
            raise UserError(f"{path}: {err.strerror}") from err
        newest = max((s.st_mtime_ns for s in stats), default=0)
        size = sum(s.st_size for s in stats)
        return [path.name, len(files), size, newest, self.frames, self.frame_rate]

    def open(self) -> tuple[VideoInfo, Iterable[Frame]]:
        """Description and frames.

        Raises:
          UserError: it cannot be read.
        """
        reader = open_reader(self.path)
        info = yuv420p8_info(reader.info)
        if self.frame_rate:
            info = dataclasses.replace(info, frame_rate=Fraction(self.frame_rate))
        return info, _Converted(reader, self.frames)

    def length(self) -> int:
        """About how many frames there are, as the file says; counted where it does not."""
        reader = open_reader(self.path)
        info = reader.info
        count = info.frames
        if count is None and info.duration and info.frame_rate:
            count = round(info.duration * info.frame_rate)
        if count is None:
            count = sum(1 for _ in itertools.islice(reader, self.frames))
        return count if self.frames is None else min(count, self.frames)


@dataclasses.dataclass(frozen=True)
class _Converted:
    """A reader's frames as 8-bit 4:2:0, at most ``limit`` of them; can be walked repeatedly."""

    reader: Any
    limit: int | None

    def __iter__(self) -> Any:
        frames = itertools.islice(self.reader, self.limit)
        return (as_yuv420p8(f, self.reader.info) for f in frames)


@dataclasses.dataclass(frozen=True)
class ClipJob:
    """One pair of clips to be made.

    Attributes:
      name: of the pair, unique in its data set.
      qp: that the record states; None: what the frames' QPs stand for.
      recipe: how to encode them; None where ``compressed`` is given.
      compressed: an existing stream of the same frames.
      seed: draws a variant of the clip; None: the clip as it is.
      clip: name of the raw clip, by which its variant is drawn; empty: that of the pair.
    """

    name: str
    split: str
    qp: int | None
    origin: Origin
    recipe: Recipe | None = None
    compressed: str | None = None
    seed: int | None = None
    augment: AugmentOptions = dataclasses.field(default_factory=AugmentOptions)
    clip: str = ""

    def __post_init__(self) -> None:
        if (self.recipe is None) == (self.compressed is None):
            raise UserError(f"{self.name}: either a recipe or a compressed clip is needed")
        if self.compressed and self.seed is not None:
            raise UserError(f"{self.name}: variants are made before encoding, not of given streams")

    @functools.cached_property
    def raw_key(self) -> str:
        """32 hexadecimal digits that name the raw clip."""
        varied = None
        if self.seed is not None:
            varied = [self.clip or self.name, self.seed, dataclasses.asdict(self.augment)]
        return _digest([self.origin.identity(), varied])

    @functools.cached_property
    def key(self) -> str:
        """32 hexadecimal digits that name the compressed clip."""
        given = VideoOrigin(self.compressed).identity() if self.compressed else None
        recipe = dataclasses.asdict(self.recipe) if self.recipe else None
        return _digest([self.raw_key, recipe, given])

    @property
    def cut(self) -> bool:
        """A given stream may be longer than the raw clip."""
        return self.origin.frames is not None

    def variant(self, info: VideoInfo) -> Variant:
        """The variant of the clip that this job makes."""
        if self.seed is None:
            return Variant()
        name = self.clip or self.name
        digits = int(hashlib.sha256(name.encode()).hexdigest()[:16], 16)
        rng = np.random.default_rng([self.seed, digits])
        return draw_variant(rng, self.augment, info, self.origin.length())


def _digest(what: list[Any]) -> str:
    return hashlib.sha256(json.dumps([_FORM, *what]).encode()).hexdigest()[:32]
