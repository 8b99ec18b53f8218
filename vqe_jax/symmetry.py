"""The eight symmetries of the square: mirrors and quarter turns, and both.

A symmetry is a number: 4 transposes, then 1 mirrors left-right and 2 up-down. Works on NumPy
arrays, where it gives views, and on JAX arrays.
"""

from __future__ import annotations

from typing import Any

__all__ = ["MIRRORS", "SYMMETRIES", "TURNS", "apply_symmetry", "inverse_symmetry"]

SYMMETRIES = tuple(range(8))
MIRRORS = (0, 1, 2, 3)  # those that keep height and width
TURNS = (0, 5, 3, 6)  # those that mirror nothing: by 0, 90, 180 and 270 degrees


def apply_symmetry(pictures: Any, symmetry: int, *, axis: int = -2) -> Any:
    """Turns or mirrors pictures.

    Args:
      pictures: any array with height at ``axis`` and width after it.
      symmetry: 0 to 7.

    Returns:
      A view of a NumPy array; height and width change places where ``symmetry`` is 4 or more.

    Example:
      >>> import numpy as np
      >>> apply_symmetry(np.array([[1, 2], [3, 4]]), 1).tolist()
      [[2, 1], [4, 3]]
      >>> apply_symmetry(np.array([[1, 2], [3, 4]]), 4).tolist()
      [[1, 3], [2, 4]]
    """
    if symmetry & 4:
        pictures = pictures.swapaxes(axis, axis + 1)
    back, rest = slice(None, None, -1), (slice(None),) * (-axis - 2)
    rows, columns = (back if symmetry & bit else slice(None) for bit in (2, 1))
    return pictures[(..., rows, columns, *rest)]


def inverse_symmetry(symmetry: int) -> int:
    """The symmetry that undoes another.

    Example:
      >>> [inverse_symmetry(s) for s in range(8)]
      [0, 1, 2, 3, 4, 6, 5, 7]
    """
    # A transpose that was done first is undone last: the mirrors change places across it.
    return (4, 6, 5, 7)[symmetry & 3] if symmetry & 4 else symmetry
