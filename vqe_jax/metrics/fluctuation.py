"""How much the quality of a video goes up and down from frame to frame.

HEVC gives every fourth frame or so more bits, so PSNR over frames is a saw; enhancement should
flatten it (MFQE 2.0, and Table 3 of RFDA).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

__all__ = ["peak_valley_difference", "standard_deviation"]

Curve = Float[np.ndarray, " t"] | Sequence[float | int]


def standard_deviation(curve: Curve) -> float:
    """Standard deviation of a video's PSNR over its frames, in dB (population, as numpy's).

    Example:
      >>> standard_deviation([30.0, 32.0])
      1.0
    """
    return float(np.std(np.asarray(curve, np.float64)))


def peak_valley_difference(curve: Curve) -> float:
    """Mean difference between each peak of PSNR over frames and its nearest valley, in dB.

    A peak is higher than both its neighbors and a valley lower; the first and the last frame are
    neither. Of two valleys equally near, the earlier counts.

    Returns:
      0 for a curve without a peak or without a valley.

    Example:
      >>> peak_valley_difference([31.0, 30.0, 33.0, 29.0, 32.0])
      3.0
    """
    values = np.asarray(curve, np.float64)
    rises = np.diff(values)
    peaks = np.flatnonzero((rises[:-1] > 0) & (rises[1:] < 0)) + 1
    valleys = np.flatnonzero((rises[:-1] < 0) & (rises[1:] > 0)) + 1
    if not len(peaks) or not len(valleys):
        return 0.0
    nearest = valleys[np.argmin(np.abs(peaks[:, None] - valleys[None]), axis=1)]
    return float(np.mean(np.abs(values[peaks] - values[nearest])))
