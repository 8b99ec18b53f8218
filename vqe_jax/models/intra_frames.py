"""The rule that picks intra frames beside a window by distance."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from vqe_jax.models import Side
from vqe_jax.models.references import Selection
from vqe_jax.models.side import FRAME_TYPES

__all__ = ["IntraFrames"]

_FAR = 1 << 30


@dataclasses.dataclass(frozen=True)
class IntraFrames(Selection):
    """The frames around the current one, then the nearest intra frames other than itself.

    Where there are fewer intra frames in reach than wanted, the current frame stands in. The order
    is: neighbors by time, then the intra frames from the nearest on (the earlier of two equally
    near), each with its own neighbors where those are wanted.

    Attributes:
      radius: neighbors of the current frame on each side.
      around: neighbors of each intra frame on each side.

    Example:
      >>> kinds = np.array([[0, 1, 1, 1, 0, 1]])
      >>> IntraFrames(8, 8, radius=1, frames=2).indices(Side(frame_type=kinds), 6)[0, 1].tolist()
      [0, 1, 2, 0, 4]
    """

    radius: int = 2
    frames: int = 1
    around: int = 0

    @property
    def count(self) -> int:
        """The window by distance, and the intra frames with their own."""
        return 2 * self.radius + 1 + self.frames * (2 * self.around + 1)

    @property
    def current(self) -> int:
        """In the middle of the first part."""
        return self.radius

    @property
    def side(self) -> frozenset[str]:
        """The frames' types."""
        return frozenset({"frame_type"})

    def indices(self, side: Side, length: int) -> Int[Array | np.ndarray, "b t k"]:
        """The neighbors, then the intra frames."""
        assert side.frame_type is not None
        xp: Any = np if isinstance(side.frame_type, np.ndarray) else jnp
        now, other = xp.arange(length)[:, None], xp.arange(length)[None, :]
        ahead = other - now
        # An intra frame's own neighbors are within the bound too.
        inside = (ahead >= self.around - self.lookback) & (ahead <= self.lookahead - self.around)
        intra = (side.frame_type == FRAME_TYPES["I"])[:, None] & (inside & (ahead != 0))[None]
        away = 2 * abs(ahead) + xp.where(ahead > 0, 1, 0)
        place = xp.where(intra, away[None], _FAR)
        own = xp.broadcast_to(now[None, :, 0], place.shape[:2])
        rows = [self._neighbors(xp, own, self.radius, length)]
        for _ in range(self.frames):
            nearest = place.argmin(axis=-1)
            pick = xp.where(place.min(axis=-1) < _FAR, nearest, own)
            place = xp.where(other[None] == pick[..., None], _FAR, place)
            rows.append(self._neighbors(xp, pick, self.around, length))
        return xp.concatenate(rows, axis=-1)

    @staticmethod
    def _neighbors(xp: Any, frames: Any, radius: int, length: int) -> Any:
        around = xp.arange(-radius, radius + 1)[None, None]
        return xp.clip(frames[..., None] + around, 0, length - 1)
