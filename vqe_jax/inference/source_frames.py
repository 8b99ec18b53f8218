"""What a file tells of its frames, for networks that ask: QPs, types, peak-quality frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from vqe_jax.inference.side_info import known_frames
from vqe_jax.inference.source_qp import told_qps
from vqe_jax.models import Network
from vqe_jax.models.side import FrameInfo
from vqe_jax.video import (
    CODECS,
    FrameQP,
    codec_family,
    luma,
    open_reader,
    peaks_every,
    peaks_of_pictures,
)

__all__ = ["Peaks", "source_frames", "unending"]

# How peak-quality frames are found: by the bitstream's QPs, from the pictures, or every n-th.
Peaks = Literal["qp", "measure"] | int


def source_frames(
    path: Path, network: Network, peaks: Peaks = "qp", *, qp: int | None = None
) -> list[FrameInfo] | None:
    """One entry a frame, in display order; None for networks that do not ask.

    ``"measure"`` decodes the video once more, one frame at a time.

    Args:
      peaks: how to find the frames of peak quality.
      qp: what the frames are said to be coded at, where the stream does not tell; decoded frames
        in a lossless file then count as coded.

    Raises:
      UserError: the network needs what the source does not tell; says how to give it.
    """
    context = network.context
    if not context.needs - {"qp"} and not context.optional:
        return None
    with open_reader(path) as reader:
        codec = reader.info.codec
        if peaks == "qp" or "peak" not in context.needs:
            coded = told_qps(path)
            if not coded and not context.needs:
                coded = [FrameQP(0, None, None)]  # one stands for all
            # High bit depths count from below zero, which stands for unknown everywhere else.
            qps = [f.qp if f.qp is None else max(f.qp, 0) for f in coded]
            types = [f.frame_type for f in coded]
            if qp is not None:
                qps = [qp if q is None else q for q in qps]
                codec = "" if codec_family(codec) == CODECS["none"] else codec
            return known_frames(network, qps, types, codec=codec)
        pictures = (luma(frame, reader.info) for frame in reader)
        if peaks == "measure":
            found = peaks_of_pictures(pictures)
        else:
            found = peaks_every(peaks, sum(1 for _ in pictures))
    coded = told_qps(path)
    if len(coded) != len(found):  # another codec, or frames that are not shown
        coded = [FrameQP(i, None, None) for i in range(len(found))]
    qps, types = [f.qp for f in coded], [f.frame_type for f in coded]
    return known_frames(network, qps, types, found, codec)


def unending(infos: list[FrameInfo] | None) -> Iterator[FrameInfo] | None:
    """The entries, the last one for all frames that come after it (a cut that is concealed)."""
    if infos is None:
        return None
    last = infos[-1] if infos else FrameInfo(peak=True)
    return itertools.chain(infos, itertools.repeat(last))
