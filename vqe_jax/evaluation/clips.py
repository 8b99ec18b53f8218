"""What models are evaluated on: pairs of a data set, or a pair of files."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqe_jax.data import Pair
from vqe_jax.errors import UserError
from vqe_jax.inference.source_qp import told_qps
from vqe_jax.sequences import class_of, plain_name, table_order
from vqe_jax.video import (
    Frame,
    FrameQP,
    Reader,
    VideoInfo,
    from_rgb,
    luma,
    mean_p_qp,
    nominal_qp,
    open_reader,
    to_rgb,
    with_luma,
)

__all__ = ["ClipFacts", "EvalClip", "clip_from_files", "clips_from_pairs"]


@dataclasses.dataclass(frozen=True)
class ClipFacts:
    """What a clip is, without its pictures; a key for what is measured on it.

    Attributes:
      qp: that it was coded at; None where unknown.
      kbps: bit rate of the compressed clip in kbit/s; 0 where unknown.
      origin: ``DATASET/CONFIG/SPLIT``; empty for files.
    """

    name: str
    qp: int | None
    width: int
    height: int
    frames: int
    kbps: float
    origin: str = ""

    @property
    def group(self) -> str:
        """Class of a JCT-VC sequence, or empty."""
        return class_of(self.name, self.width)

    @property
    def title(self) -> str:
        """Its name in tables: without size and length, where it is a sequence of a class."""
        return plain_name(self.name) if self.group else self.name

    @property
    def order(self) -> tuple[int, tuple[str, int, str]]:
        """Sorts by QP, then as the papers' tables do."""
        return (-1 if self.qp is None else self.qp, table_order(self.name, self.width))


@dataclasses.dataclass(frozen=True)
class EvalClip:
    """A compressed clip and the truth.

    Attributes:
      qp: that it was coded at; None where unknown.
      fps: frames per second; 0 where unknown.
      kbps: bit rate of the compressed clip in kbit/s; 0 where unknown.
      frame_types: a letter a frame, ``"?"`` where unknown.
      frame_qps: QP of each frame; -1 where unknown.
      reader: ``(side, color) -> frames``; see :meth:`frames`.
      originals: ``side -> decoded frames``, which lend what a conversion between colors needs
        beside the pictures; None where there are none. With their description.
      origin: ``DATASET/CONFIG/SPLIT``; empty for files.
      codec: of the compressed clip, as FFmpeg calls it; empty where unknown.
    """

    name: str
    qp: int | None
    width: int
    height: int
    count: int
    fps: float
    kbps: float
    frame_types: str
    frame_qps: tuple[int, ...]
    reader: Callable[[str, str], Iterator[np.ndarray]]
    originals: Callable[[str], Iterator[tuple[Frame, VideoInfo]]] | None = None
    origin: str = ""
    codec: str = ""

    @property
    def facts(self) -> ClipFacts:
        """All but the pictures."""
        return ClipFacts(
            self.name, self.qp, self.width, self.height, self.count, self.kbps, self.origin
        )

    @property
    def group(self) -> str:
        """Class of a JCT-VC sequence, or empty."""
        return self.facts.group

    @property
    def title(self) -> str:
        """Its name in tables."""
        return self.facts.title

    def frames(self, side: str, color: str) -> Iterator[np.ndarray]:
        """The frames that are evaluated, one at a time.

        Args:
          side: ``"compressed"`` or ``"raw"``.
          color: ``"luma"`` or ``"rgb"``.

        Yields:
          float32 ``[h, w, c]`` in [0, 1].

        Raises:
          UserError: a file ends before the last of them.
        """
        done = 0
        for frame in itertools.islice(self.reader(side, color), self.count):
            done += 1
            yield frame
        if done < self.count:
            raise UserError(
                f"{self.name}: the {side} clip ends after {done} frames, expected {self.count}"
            )

    def converted(
        self, frames: Iterable[np.ndarray], color: str, *, chroma: str = "compressed"
    ) -> Iterator[np.ndarray]:
        """Versions of this clip's frames in the other color.

        Args:
          frames: ``[h, w, 1]`` or ``[h, w, 3]``, all of the clip in order.
          color: what to make of them: ``"rgb"`` of luma, ``"luma"`` of RGB.
          chroma: whose chroma luma is joined with: that of the ``"compressed"`` clip, or of the
            ``"raw"`` one (PeQuENet's protocol, which sees the damage of luma alone).

        Yields:
          float32 ``[h, w, c]`` in [0, 1], from code values of the file's bits.

        Raises:
          UserError: a clip without chroma.
        """
        if self.originals is None:
            raise UserError(f"{self.name} has no chroma; choose metrics of luma (psnr_y, ssim_y)")
        for values, (frame, info) in zip(frames, self.originals(chroma), strict=False):
            if color == "rgb":
                yield to_rgb(with_luma(frame, values[..., 0]), info)
            else:
                yield luma(from_rgb(values, info, like=frame), info)[..., None]


def clips_from_pairs(
    pairs: Sequence[Pair], *, limit: int | None = None, origin: str = ""
) -> list[EvalClip]:
    """The pairs of a data set.

    Args:
      pairs: of :func:`vqe_jax.data.open_pairs`.
      limit: evaluate only so many frames of each; None: all.
      origin: ``DATASET/CONFIG/SPLIT``.
    """
    return [_from_pair(pair, limit, origin) for pair in pairs]


def _from_pair(pair: Pair, limit: int | None, origin: str) -> EvalClip:
    height, width = pair.size

    def originals(side: str) -> Iterator[tuple[Frame, VideoInfo]]:
        return ((frame, pair.info.video) for frame in pair.planes(side))

    return EvalClip(
        name=pair.name,
        qp=pair.qp if pair.qp >= 0 else None,
        width=width,
        height=height,
        count=min(len(pair), limit or len(pair)),
        fps=pair.fps,
        kbps=pair.info.kbps,
        frame_types=pair.frame_types,
        frame_qps=pair.frame_qps,
        reader=pair.frames,
        originals=originals,
        origin=origin,
        codec=pair.info.codec,
    )


def clip_from_files(
    raw: str | os.PathLike[str],
    compressed: str | os.PathLike[str],
    *,
    qp: int | None = None,
    limit: int | None = None,
    **options: Any,
) -> EvalClip:
    """A pair of files, decoded as they are read.

    Args:
      raw: the truth: anything :func:`vqe_jax.video.open_reader` opens.
      qp: of the compressed file; None: read from its bitstream, where that tells.
      limit: evaluate only so many frames; None: all.
      **options: those of ``open_reader``, for raw ``.yuv`` without a size in its name.

    Raises:
      UserError: a file that cannot be read, or two that differ in size or length.
    """
    paths = {"raw": raw, "compressed": compressed}
    readers = {side: open_reader(path, **options) for side, path in paths.items()}
    total = _common_length(readers["raw"], readers["compressed"])

    def read(side: str, color: str) -> Iterator[np.ndarray]:
        reader = readers[side]
        for frame in reader:
            if color == "luma":
                yield luma(frame, reader.info)[..., None]
            else:
                yield to_rgb(frame, reader.info)

    info = readers["compressed"].info
    fps = float(info.frame_rate or readers["raw"].info.frame_rate or 0)
    qps = told_qps(Path(compressed))
    mean = mean_p_qp(qps)
    qps += [FrameQP(0, None, None)] * (total - len(qps))  # concealed frames, or nothing is told
    is_file = Path(compressed).is_file()
    return EvalClip(
        name=Path(raw).stem,
        qp=nominal_qp(mean) if qp is None and mean is not None else qp,
        width=info.width,
        height=info.height,
        count=min(total, limit or total),
        fps=fps,
        kbps=Path(compressed).stat().st_size * 8 / 1000 * fps / total if is_file else 0.0,
        frame_types="".join(q.frame_type or "?" for q in qps),
        # High bit depths count from below zero, which stands for unknown here.
        frame_qps=tuple(-1 if q.qp is None else max(q.qp, 0) for q in qps),
        reader=read,
        originals=lambda side: ((frame, readers[side].info) for frame in readers[side]),
        codec=info.codec,
    )


def _common_length(raw: Reader, compressed: Reader) -> int:
    """The number of frames of a pair, which must be of one size and length."""
    (rw, rh), (cw, ch) = ((r.info.width, r.info.height) for r in (raw, compressed))
    if (rw, rh) != (cw, ch):
        raise UserError(
            f"{compressed.path} is {cw}x{ch}, but {raw.path} is {rw}x{rh}; expected one size"
        )
    wanted, found = (r.info.frames or sum(1 for _ in r) for r in (raw, compressed))
    if wanted != found:
        raise UserError(
            f"{compressed.path} has {found} frames, but {raw.path} has {wanted}; expected a pair "
            "of one length"
        )
    return found
