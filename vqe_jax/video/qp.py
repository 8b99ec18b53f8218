"""Quantisation parameter and type of each frame, read from the slice headers.

SliceQpY = 26 + init_qp_minus26 + slice_qp_delta (ITU-T H.265, equation 7-54; H.264, equation
7-30). Where the encoder varies the QP inside the frame (rate control, adaptive quantisation),
this is only the base that its blocks deviate from, and the entry says so.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

from vqe_jax.video.files import readable_file, translated
from vqe_jax.video.headers import trace
from vqe_jax.video.libav import open_input, packets, video_stream
from vqe_jax.video.open import open_reader
from vqe_jax.video.planes import side_data
from vqe_jax.video.slices import CodedPicture, SliceParser

__all__ = ["FrameQP", "encoder_settings", "frame_qps", "frame_types", "mean_p_qp"]

_SETTINGS = re.compile(rb"options: ([ -~]+)")


@dataclasses.dataclass(frozen=True)
class FrameQP:
    """What the headers say about one frame.

    Attributes:
      poc: picture order count within its coded video sequence.
      qp: luma QP of the first slice; None where the stream does not tell.
      frame_type: ``"I"``, ``"P"`` or ``"B"``; None where the stream does not tell.
      exact: every block of the frame has this QP; False where blocks may deviate from it (for
        H.264, whose headers cannot exclude it, always).
    """

    poc: int
    qp: int | None
    frame_type: str | None
    exact: bool = True


def frame_qps(path: str | os.PathLike[str], *, limit: int | None = None) -> list[FrameQP]:
    """QP and type of each frame of an HEVC or H.264 video, in display order.

    Args:
      limit: stop after that many frames in coding order; None for all.

    Raises:
      UserError: unreadable, or another codec.
    """
    pictures: list[CodedPicture] = []
    parser: SliceParser | None = None
    headers = trace(Path(path))
    for packet in headers:
        parser = parser or SliceParser(packet.codec)
        pictures += parser.pictures(packet)
        if limit is not None and len(pictures) >= limit:
            break
    headers.close()
    pictures = sorted(pictures[:limit], key=lambda p: (p.sequence, p.poc))
    return [FrameQP(p.poc, p.qp, p.frame_type, p.exact) for p in pictures]


def frame_types(path: str | os.PathLike[str]) -> list[str | None]:
    """``"I"``, ``"P"``, ``"B"`` or None for each frame in display order, for every codec.

    The frames are decoded; for HEVC and H.264 :func:`frame_qps` is quicker.
    """
    with open_reader(path) as reader:
        return [frame.pict_type for frame in reader]


def mean_p_qp(qps: Sequence[FrameQP]) -> float | None:
    """Mean QP of the P frames (of all frames, where there are no P frames); None if not told.

    Args:
      qps: as :func:`frame_qps` returns them.

    Example:
      >>> mean_p_qp([FrameQP(0, 36, "I"), FrameQP(1, 45, "P"), FrameQP(2, 44, "P")])
      44.5
    """
    known = [(f.qp, f.frame_type) for f in qps if f.qp is not None]
    chosen = [qp for qp, kind in known if kind == "P"] or [qp for qp, _ in known]
    return sum(chosen) / len(chosen) if chosen else None


def encoder_settings(path: str | os.PathLike[str]) -> dict[str, str] | None:
    """The settings that x264 and x265 leave in the first frame's SEI; None where there are none.

    Returns:
      For example ``{"rc": "crf", "crf": "28.0", ...}``; a bare switch is ``"1"``, and one with
      ``no-`` before it ``"0"``.
    """
    path = Path(path)
    readable_file(path, "a video")
    with translated(path, "read"), open_input(path) as container:
        stream = video_stream(container, path)
        for packet in packets(container, stream):
            for picture in packet.decode():
                return _settings(b"\n".join(side_data(picture, "SEI_UNREGISTERED")))
    return None


def _settings(message: bytes) -> dict[str, str] | None:
    match = _SETTINGS.search(message)
    if not match:
        return None
    pairs = (word.partition("=") for word in match[1].decode("ascii").split())
    return {
        key if sign else key.removeprefix("no-"): value if sign else _switch(key)
        for key, sign, value in pairs
    }


def _switch(key: str) -> str:
    return "0" if key.startswith("no-") else "1"
