"""What is to be encoded: where frames come from, what is done to them, and by which recipe.

A :class:`ClipJob` is all that a worker process needs, and its key names the result: the same
frames, variant and recipe give the same key, so what is built already is found again, and a source
that was changed is not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vqe_jax.data.variants import AugmentOptions, Variant, draw_variant
from vqe_jax.data.yuv420 import as_yuv420p8, yuv420p8_info
from vqe_jax.errors import UserError
from vqe_jax.video import Frame, VideoInfo, low_delay_p, open_reader, two_pass

__all__ = ["ClipJob", "Origin", "Recipe", "VideoOrigin"]

# Raised when the same job would give other bytes.
_FORM = 1


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

    def open(self) -> tuple[VideoInfo, Iterable[Frame], int]:
        """Description, frames (8-bit 4:2:0, repeatable) and about how many there are."""


@dataclasses.dataclass(frozen=True)
class VideoOrigin:
    """Frames of a video file or a folder of PNG.

    Attributes:
      path: of it.
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

    def open(self) -> tuple[VideoInfo, Iterable[Frame], int]:
        """Description, frames and about how many there are.

        Raises:
          UserError: it cannot be read.
        """
        reader = open_reader(self.path)
        info = yuv420p8_info(reader.info)
        if self.frame_rate:
            info = dataclasses.replace(info, frame_rate=Fraction(self.frame_rate))
        return info, _Converted(reader, self.frames), _length(reader.info, reader, self.frames)


@dataclasses.dataclass(frozen=True)
class _Converted:
    """A reader's frames as 8-bit 4:2:0, at most ``limit`` of them; can be walked repeatedly."""

    reader: Any
    limit: int | None

    def __iter__(self) -> Any:
        frames = itertools.islice(self.reader, self.limit)
        return (as_yuv420p8(f, self.reader.info) for f in frames)


def _length(info: VideoInfo, frames: Iterable[Frame], limit: int | None) -> int:
    count = info.frames
    if count is None and info.duration and info.frame_rate:
        count = round(info.duration * info.frame_rate)
    if count is None:
        count = sum(1 for _ in itertools.islice(frames, limit))
    return count if limit is None else min(count, limit)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a clip is encoded.

    Attributes:
      name: ``"low_delay_p"`` (fixed QP, hierarchical, as the reference encoder's low-delay P) or
        ``"two_pass"`` (x265 at a bit rate, NTIRE 2021 track 3).
      value: the QP, or kbit/s.
      preset: x265's preset.
    """

    name: str
    value: int
    preset: str | None = None

    def build(self) -> Any:
        """The recipe as the encoder takes it.

        Raises:
          UserError: no recipe of that name.
        """
        makers: dict[str, Any] = {"low_delay_p": low_delay_p, "two_pass": two_pass}
        if self.name not in makers:
            raise UserError(f"recipe {self.name!r} is not one of {', '.join(makers)}")
        options = {"preset": self.preset} if self.preset else {}
        # Clips are encoded side by side; the result does not depend on the encoder's threads.
        return makers[self.name](self.value, threads=1, **options)

    def __str__(self) -> str:
        unit = "qp" if self.name == "low_delay_p" else "kbps"
        preset = f", preset {self.preset}" if self.preset else ""
        return f"{self.name} {unit} {self.value}{preset}"


@dataclasses.dataclass(frozen=True)
class ClipJob:
    """One pair of clips to be made.

    Attributes:
      name: of the pair, unique in its data set.
      split: that it belongs to.
      qp: that the record states.
      origin: where the raw frames come from.
      recipe: how to encode them; None where ``compressed`` is given.
      compressed: an existing stream of the same frames.
      seed: draws a variant of the clip; None: the clip as it is.
      augment: what the variant may be.
    """

    name: str
    split: str
    qp: int
    origin: Origin
    recipe: Recipe | None = None
    compressed: str | None = None
    seed: int | None = None
    augment: AugmentOptions = dataclasses.field(default_factory=AugmentOptions)

    def __post_init__(self) -> None:
        if (self.recipe is None) == (self.compressed is None):
            raise UserError(f"{self.name}: either a recipe or a compressed clip is needed")
        if self.compressed and self.seed is not None:
            raise UserError(f"{self.name}: variants are made before encoding, not of given streams")

    @property
    def key(self) -> str:
        """32 hexadecimal digits that name the result."""
        given = VideoOrigin(self.compressed).identity() if self.compressed else None
        varied = [self.seed, dataclasses.asdict(self.augment)] if self.seed is not None else None
        recipe = dataclasses.asdict(self.recipe) if self.recipe else None
        what = [_FORM, self.name, self.qp, self.origin.identity(), recipe, given, varied]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]

    @property
    def cut(self) -> bool:
        """A given stream may be longer than the raw clip."""
        return self.origin.frames is not None

    def variant(self, info: VideoInfo, frames: int) -> Variant:
        """The variant of the clip that this job makes.

        Args:
          info: of the clip.
          frames: how many it has, or about.
        """
        if self.seed is None:
            return Variant()
        digits = int(hashlib.sha256(self.name.encode()).hexdigest()[:16], 16)
        rng = np.random.default_rng([self.seed, digits])
        return draw_variant(rng, self.augment, info, frames)
