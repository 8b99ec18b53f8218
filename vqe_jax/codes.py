"""Pictures as 8-bit codes and back; every room may import this module."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

__all__ = ["WHITE", "from_codes", "to_codes"]

WHITE = np.float32(255)


def to_codes(picture: Any) -> UInt8[np.ndarray, "*s"]:
    """Values in [0, 1] rounded to 8 bits; what lies outside is clipped.

    Example:
      >>> to_codes([0.0, 0.5, 1.25]).tolist()
      [0, 128, 255]
    """
    return np.rint(np.clip(np.asarray(picture), 0, 1) * 255).astype(np.uint8)


def from_codes(codes: UInt8[np.ndarray, "*s"]) -> Float[np.ndarray, "*s"]:
    """Codes as float32 in [0, 1]."""
    return codes.astype(np.float32) / WHITE
