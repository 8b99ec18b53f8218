"""Frames of peak quality: those coded better than their neighbors.

The one module that says which they are, for training, streaming and evaluation alike: from the
QPs of the bitstream, from the pictures alone where nothing else is known, from the ground truth
where there is one. ``python benchmarks/peaks.py`` prints how well the first two agree with the
last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Num

__all__ = [
    "peak_frames",
    "peaks_every",
    "peaks_of_pictures",
    "peaks_of_scores",
    "picture_scores",
]

# Weight of the change between frames against their sharpness; see picture_scores.
_CHANGE = 0.04


def peak_frames(qps: Sequence[int | None], frame_types: Sequence[str | None]) -> list[bool]:
    """Which frames are of peak quality: coded better than both neighbors.

    The QP tells: it is lower than that of the frames beside it and nowhere lower within two frames,
    so that in a group with the QPs 45, 44, 45, 38 the last one counts alone (Yang et al., CVPR
    2018, define these frames by their PSNR, which nobody knows who has no ground truth; in the
    low-delay configuration the two agree). At the ends, what does not exist is not compared. Where
    a QP is unknown, the order I, P, B stands for QPs.

    Args:
      qps: of each frame in display order; None or negative where unknown.
      frame_types: ``"I"``, ``"P"``, ``"B"``, or anything else where unknown.

    Returns:
      True for frames of peak quality; all False where neither QPs nor types are known.

    Example:
      >>> peak_frames([36, 45, 44, 45, 38, 45, 44], "IPPPPPP")
      [True, False, False, False, True, False, False]
    """
    values = [-1 if qp is None else qp for qp in qps]
    if min(values, default=-1) < 0:
        values = ["IPB".find(kind or "?") for kind in frame_types]
        if min(values, default=-1) < 0:
            return [False] * len(values)
    last = len(values) - 1

    def is_peak(t: int) -> bool:
        beside = [values[n] for n in (t - 1, t + 1) if 0 <= n <= last]
        around = values[max(0, t - 2) : t + 3]
        return bool(beside) and values[t] < min(beside) and values[t] <= min(around)

    return [is_peak(t) for t in range(len(values))]


def peaks_every(period: int, length: int) -> list[bool]:
    """Every ``period``-th frame from the first on, as in the low-delay configuration (4).

    Example:
      >>> peaks_every(4, 6)
      [True, False, False, False, True, False]
    """
    return [t % period == 0 for t in range(length)]


def peaks_of_scores(scores: Sequence[float]) -> list[bool]:
    """Local maxima of a quality score (PSNR against the ground truth, or a no-reference measure).

    A maximum is above both neighbors and nowhere exceeded within two frames.

    Example:
      >>> peaks_of_scores([30.0, 29.0, 29.5, 29.0, 31.0, 30.0])
      [True, False, False, False, True, False]
    """

    def is_peak(t: int) -> bool:
        beside = [scores[n] for n in (t - 1, t + 1) if 0 <= n < len(scores)]
        around = scores[max(0, t - 2) : t + 3]
        return bool(beside) and scores[t] > max(beside) and scores[t] >= max(around)

    return [is_peak(t) for t in range(len(scores))]


def picture_scores(frames: Iterable[Num[np.ndarray, "h w"]]) -> Iterator[float]:
    """A no-reference score of each frame's quality among its neighbors, from luma alone.

    A frame coded at a lower QP is sharper than both neighbors, and it changes more against the
    frame before it, which it corrects, than the frame after it does, which copies it. The score is
    ``log s_t - (log s_{t-1} + log s_{t+1}) / 2 + 0.04 (log d_t - log d_{t+1})`` with ``s`` the mean
    absolute Laplacian and ``d`` the mean absolute difference to the frame before. It compares
    neighbors and says nothing about a frame on its own. Our own measure, chosen over MSCN
    statistics (BRISQUE's), gradients and local contrast on streams of four encoders.

    Args:
      frames: luma of a video, any range; three are held at a time.

    Yields:
      One number a frame.
    """
    sharp: deque[float] = deque(maxlen=3)
    change: deque[float] = deque(maxlen=3)
    before: np.ndarray | None = None
    for frame in frames:
        frame = np.asarray(frame, np.float32)
        sharp.append(float(np.log(_laplacian(frame) + 1e-6)))
        moved = 0.0 if before is None else float(np.abs(frame - before).mean())
        change.append(float(np.log(moved + 1e-6)) if before is not None else 0.0)
        if len(sharp) == 2 and before is not None:
            yield sharp[0] - sharp[1]  # the first frame has one neighbor, and no change
        if len(sharp) == 3:
            curve = sharp[1] - (sharp[0] + sharp[2]) / 2
            yield curve + _CHANGE * (change[1] - change[2])
        before = frame
    if len(sharp) == 1:
        yield 0.0
    elif sharp:
        yield sharp[-1] - sharp[-2]


def peaks_of_pictures(frames: Iterable[Num[np.ndarray, "h w"]]) -> list[bool]:
    """Peaks by :func:`picture_scores`."""
    return peaks_of_scores(list(picture_scores(frames)))


def _laplacian(x: Float[np.ndarray, "h w"]) -> float:
    if min(x.shape) < 3:
        return float(x.std())
    around = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
    return float(np.abs(4 * x[1:-1, 1:-1] - around).mean())
