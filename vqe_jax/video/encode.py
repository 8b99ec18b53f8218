"""Encoding to HEVC as the literature does: low-delay P at fixed QP, and two passes at 200 kbit/s.

MFQE's and most later training data come from the reference encoder HM in its low-delay P
configuration with a group of four pictures: the QP of a frame depends on its place in the
group, which makes the quality fluctuate. libx265 has no such structure, but it takes a QP for
each frame ("zones"); with adaptive quantisation and the psycho-visual tools off, it comes
within 1 dB of HM at the same QPs.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
from collections.abc import Iterable, Sized
from pathlib import Path

from vqe_jax.errors import UserError
from vqe_jax.video.info import Frame, VideoInfo
from vqe_jax.video.open import open_writer

__all__ = [
    "LowDelayP",
    "TwoPass",
    "encode_hevc",
    "low_delay_p",
    "mean_p_offset",
    "nominal_qp",
    "two_pass",
]

_GROUP = 4


@dataclasses.dataclass(frozen=True)
class LowDelayP:
    """One I frame, then P frames in groups of four with QP offsets, as HM's low-delay P has it.

    Attributes:
      qp: the nominal QP, 1 to 51 (22, 27, 32, 37 and 42 in the literature).
      preset: of x265.
      threads: of x265's pool; None for all cores. The result does not depend on it.
    """

    qp: int
    preset: str = "slow"
    threads: int | None = None

    def frame_qp(self, index: int) -> int:
        """QP of the frame at a place in display order.

        HM's offsets (5, 4, 5, 1) for the places 1, 2, 3, 0 of a group, the first frame -1; the
        upper three gain floor(0.2590 QP - 6.0) more, at least 0 and at most 3 (HM's QP offset
        model, slope 0.2590 and intercept -6.5, rounded).

        Args:
          index: of the frame, from 0.

        Example:
          >>> [low_delay_p(37).frame_qp(i) for i in range(6)]
          [36, 45, 44, 45, 38, 45]
        """
        if index == 0:
            return max(0, self.qp - 1)
        place = index % _GROUP
        if place == 0:
            return min(51, self.qp + 1)
        more = math.floor(min(3.0, max(0.0, 0.2590 * self.qp - 6.5 + 0.5)))
        return min(51, self.qp + (4 if place == 2 else 5) + more)

    def options(self, frames: int) -> dict[str, str]:
        """The encoder's options for a clip.

        Args:
          frames: in the clip; each has its zone. x265 counts the frames of zones from 1.
        """
        zones = "/".join(f"{i + 1},{i + 1},q={self.frame_qp(i)}" for i in range(frames))
        params = {
            "qp": self.qp,
            "ipratio": 1,
            "pbratio": 1,
            "bframes": 0,
            "ref": 4,
            "keyint": -1,
            "scenecut": 0,
            "open-gop": 0,
            "rc-lookahead": 0,
            "aq-mode": 0,
            "cutree": 0,
            "weightp": 0,
            "psy-rd": 0,
            "psy-rdoq": 0,
            "rdoq-level": 2,
            "frame-threads": 1,
            "info": 0,
            "zones": zones,
        }
        return _options(self.preset, params, self.threads)


@dataclasses.dataclass(frozen=True)
class TwoPass:
    """A fixed bit rate in two passes, as NTIRE 2021's third track has it.

    Attributes:
      preset: of x265.
      threads: of x265's pool; None for all cores.
    """

    kbps: int = 200
    preset: str = "medium"
    threads: int | None = None

    def options(self, number: int, stats: Path) -> dict[str, str]:
        """The encoder's options for a pass.

        Args:
          number: 1 or 2.
          stats: where the first pass leaves its findings.
        """
        params = {"pass": number, "stats": stats, "bitrate": self.kbps}
        return _options(self.preset, params, self.threads)


def _options(preset: str, params: dict[str, object], threads: int | None) -> dict[str, str]:
    if threads is not None:
        params = params | {"pools": threads}
    return {"preset": preset, "x265-params": ":".join(f"{k}={v}" for k, v in params.items())}


def low_delay_p(qp: int, *, preset: str = "slow", threads: int | None = None) -> LowDelayP:
    """The recipe closest to HM's low-delay P configuration at a nominal QP.

    Args:
      qp: 1 to 51.
      preset: of x265; slower ones come closer to HM's rate.
      threads: of x265; give 1 where several clips are encoded side by side.

    Raises:
      UserError: the QP is out of range.
    """
    if not 1 <= qp <= 51:
        raise UserError(f"QP {qp} is out of range; HEVC's go from 1 to 51 here")
    return LowDelayP(qp, preset, threads)


def two_pass(kbps: int = 200, *, preset: str = "medium", threads: int | None = None) -> TwoPass:
    """The recipe of NTIRE 2021's quality enhancement challenge, track 3.

    Args:
      preset: of x265.
      threads: of x265; give 1 where several clips are encoded side by side.

    Raises:
      UserError: the rate is not positive.
    """
    if kbps < 1:
        raise UserError(f"a bit rate of {kbps} kbit/s; expected at least 1")
    return TwoPass(kbps, preset, threads)


def mean_p_offset(qp: int) -> float:
    """How far the mean QP of the P frames lies above the nominal QP in the low-delay recipe.

    Example:
      >>> mean_p_offset(37)
      6.0
    """
    recipe = low_delay_p(qp)
    return sum(recipe.frame_qp(i) for i in range(1, 1 + _GROUP)) / _GROUP - qp


def nominal_qp(mean: float) -> int:
    """The QP at which the low-delay recipe has this mean QP over its P frames.

    Args:
      mean: over the P frames, as :func:`vqe_jax.video.mean_p_qp` returns it.

    Example:
      >>> nominal_qp(43.0), nominal_qp(25.75)
      (37, 22)
    """
    return min(range(1, 52), key=lambda qp: abs(qp + mean_p_offset(qp) - mean))


def encode_hevc(
    frames: Iterable[Frame],
    dst: str | os.PathLike[str],
    info: VideoInfo,
    recipe: LowDelayP | TwoPass,
) -> None:
    """Encodes a video with libx265.

    Args:
      frames: what to encode, from the first frame on; something that can be walked through
        more than once (a reader, a list), because the recipes count or encode twice.
      dst: ``.hevc``, ``.mkv``, ``.mp4``, ...
      recipe: :func:`low_delay_p` or :func:`two_pass`.

    Raises:
      UserError: as :func:`vqe_jax.video.open_writer`; the frames can be walked through only once.
    """
    if iter(frames) is frames:
        raise UserError("encode_hevc walks through the frames twice; give a reader or a list")
    if isinstance(recipe, LowDelayP):
        count = len(frames) if isinstance(frames, Sized) else sum(1 for _ in frames)
        _encode(frames, dst, info, recipe.options(count))
        return
    with tempfile.TemporaryDirectory(prefix="vqe_jax_two_pass_") as folder:
        stats = Path(folder) / "stats"
        # x265 cannot be told to throw the first pass away; a bitstream beside the statistics is.
        _encode(frames, Path(folder) / "first.hevc", info, recipe.options(1, stats))
        _encode(frames, dst, info, recipe.options(2, stats))


def _encode(
    frames: Iterable[Frame],
    dst: str | os.PathLike[str],
    info: VideoInfo,
    options: dict[str, str],
) -> None:
    with open_writer(dst, info, codec="libx265", options=options) as writer:
        for frame in frames:
            writer.write(frame)
