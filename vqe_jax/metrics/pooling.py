"""From values of frames to one number: which mean, and means over ragged batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from vqe_jax.errors import UserError

__all__ = ["Mean", "pool"]


def pool(
    videos: Sequence[Float[np.ndarray, " t"] | Sequence[float | int]],
    *,
    over: Literal["videos", "frames"] = "videos",
) -> float:
    """One number for a data set.

    Args:
      videos: the values of each video's frames.
      over: ``"videos"``, the mean of the videos' means, as the papers' tables have it, or
        ``"frames"``, the mean over all frames, in which long videos weigh more.

    Raises:
      UserError: no video, or one without frames.

    Example:
      >>> pool([[1.0, 1.0, 1.0], [3.0]]), pool([[1.0, 1.0, 1.0], [3.0]], over="frames")
      (2.0, 1.5)
    """
    arrays = [np.asarray(video, np.float64) for video in videos]
    if not arrays or any(a.size == 0 for a in arrays):
        raise UserError("nothing to average: no video, or a video without frames")
    if over == "videos":
        return float(np.mean([a.mean() for a in arrays]))
    if over == "frames":
        return float(np.concatenate(arrays).mean())
    raise UserError(f"pooling over {over!r} is not known; expected 'videos' or 'frames'")


class Mean(NamedTuple):
    """A mean under construction; right for batches of any size, padded ones and many hosts.

    Example:
      >>> first = Mean.of(jnp.array([1.0, 2.0, 3.0]))
      >>> last = Mean.of(jnp.array([10.0, 0.0, 0.0]), mask=jnp.array([True, False, False]))
      >>> float(first.merge(last).value)
      4.0
    """

    total: Float[Array, ""]
    weight: Float[Array, ""]

    @classmethod
    def of(cls, values: Float[Array, "*n"], *, mask: Bool[Array, "*n"] | None = None) -> Mean:
        """The mean of a batch; entries outside the mask are padding, whatever they hold."""
        if mask is None:
            mask = jnp.ones(values.shape, bool)
        kept = jnp.where(mask, values, 0.0)
        return cls(kept.sum(), mask.sum().astype(jnp.float32))

    def merge(self, other: Mean) -> Mean:
        """The mean of both batches together."""
        return Mean(self.total + other.total, self.weight + other.weight)

    @property
    def value(self) -> Float[Array, ""]:
        """The mean; NaN of nothing."""
        return self.total / self.weight
