"""The eight symmetries of the square, as views of numpy arrays.

Training crops are turned and mirrored on the host, before they become floats: a view of a uint8
crop costs nothing, and the copy into the batch has to be made anyway. The same eight exist for
arrays that are already on a device in :mod:`vqe_jax.data.augment` (dm-pix), and a test holds the
two to each other.
"""

from __future__ import annotations

import numpy as np

__all__ = ["MIRRORS", "SYMMETRIES", "apply_symmetry"]

# A symmetry is a number: bit 0 mirrors left-right, bit 1 mirrors up-down, bit 2 transposes first.
SYMMETRIES = tuple(range(8))
MIRRORS = (0, 1, 2, 3)  # those that keep height and width


def apply_symmetry(planes: np.ndarray, symmetry: int, *, axis: int = -2) -> np.ndarray:
    """Turns or mirrors pictures; a view, nothing is copied.

    Args:
      planes: any array with height at ``axis`` and width after it.
      symmetry: 0 to 7; 4 transposes, then 1 mirrors left-right and 2 up-down.
      axis: where the height is, negative.

    Returns:
      A view; height and width change places where ``symmetry`` is 4 or more.

    Example:
      >>> apply_symmetry(np.array([[1, 2], [3, 4]]), 1).tolist()
      [[2, 1], [4, 3]]
      >>> apply_symmetry(np.array([[1, 2], [3, 4]]), 4).tolist()
      [[1, 3], [2, 4]]
    """
    if symmetry & 4:
        planes = planes.swapaxes(axis, axis + 1)
    if symmetry & 1:
        planes = np.flip(planes, axis + 1)
    if symmetry & 2:
        planes = np.flip(planes, axis)
    return planes
