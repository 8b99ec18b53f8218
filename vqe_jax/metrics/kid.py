"""Kernel Inception distance (Binkowski et al., 2018) of frames that are read once.

The squared maximum mean discrepancy of Inception's features under the kernel
``(x.y / d + 1)^3``, unbiased, averaged over random subsets: 100 of 1000 features by default, as
torch-fidelity has it. Features are kept up to a bound; beyond it a uniform sample of them is
(reservoir sampling), so memory does not grow with the video. A video with fewer frames than a
subset is measured on all of its frames once, and the result says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from vqe_jax.errors import UserError
from vqe_jax.metrics.fid import stream_features

__all__ = ["KID", "Reservoir", "kid", "kid_of_features", "polynomial_mmd"]

_SUBSET = 1000


@dataclasses.dataclass(frozen=True)
class KID:
    """A kernel Inception distance and how it was taken.

    Attributes:
      mean: over the subsets; may be a little below zero for equal distributions.
      subsets: how many; 1 where a subset is all there is.
    """

    mean: float
    std: float
    subset_size: int
    subsets: int


class Reservoir:
    """A uniform sample, of bounded size, of features that come by."""

    def __init__(self, capacity: int = 20_000, *, seed: int = 0) -> None:
        self._capacity = capacity
        self._rng = np.random.default_rng(seed)
        self._kept: list[np.ndarray] = []
        self.seen = 0

    def add(self, features: Float[np.ndarray, "n d"]) -> None:
        """Takes in some more features."""
        for row in features:
            self.seen += 1
            if len(self._kept) < self._capacity:
                self._kept.append(np.array(row))
            elif (place := int(self._rng.integers(self.seen))) < self._capacity:
                self._kept[place] = np.array(row)

    @property
    def features(self) -> Float[np.ndarray, "n d"]:
        """What is kept: everything, until the capacity is passed."""
        if not self._kept:
            raise UserError("KID: there are no frames")
        return np.stack(self._kept)


def polynomial_mmd(x: Float[np.ndarray, "m d"], y: Float[np.ndarray, "n d"]) -> float:
    """The unbiased squared maximum mean discrepancy under ``(x.y / d + 1)^3``, in float64.

    Args:
      x: features of one set, at least two.
      y: of the other, at least two.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    d = x.shape[1]
    kxx, kyy, kxy = ((a @ b.T / d + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kxx, kyy)]
    return float(sum(within) - 2 * kxy.mean())


def kid_of_features(
    x: Float[np.ndarray, "m d"],
    y: Float[np.ndarray, "n d"],
    *,
    subset_size: int | None = None,
    subsets: int = 100,
    seed: int = 0,
) -> KID:
    """KID of features that are at hand.

    Args:
      subset_size: features in a subset; None takes 1000, or all where there are fewer.

    Raises:
      UserError: fewer than two features, or fewer than the subset size that was asked for.
    """
    least = min(len(x), len(y))
    if least < 2:
        raise UserError(f"KID needs at least 2 frames in each set, one has {least}")
    if subset_size is not None and subset_size > least:
        raise UserError(
            f"KID: subsets of {subset_size} frames asked for, but a set has only {least}; "
            "leave subset_size out to take all frames"
        )
    size = subset_size or min(_SUBSET, least)
    if size == len(x) == len(y):
        return KID(polynomial_mmd(x, y), 0.0, size, 1)
    rng = np.random.default_rng(seed)
    values = [
        polynomial_mmd(*(v[rng.choice(len(v), size, replace=False)] for v in (x, y)))
        for _ in range(subsets)
    ]
    return KID(float(np.mean(values)), float(np.std(values)), size, subsets)


def kid(
    result: Iterable[jax.Array | np.ndarray],
    reference: Iterable[jax.Array | np.ndarray],
    *,
    variables: Mapping[str, Any],
    capacity: int = 20_000,
    chunk: int = 16,
    divisor: int = 1,
) -> KID:
    """KID between two sets of frames; smaller is better.

    Args:
      result: frames ``[h, w, c]`` in [0, 1], any iterable; read once.
      reference: the same of the truth; the number may differ.
      variables: ``load_perceptual("inception").variables`` of :mod:`vqe_jax.weights`.
      capacity: features kept of each set (8 kB each).
      divisor: every width is divided by it; above 1 in tests only, where it is no KID.

    Raises:
      UserError: frames that are no floats in [0, 1], or fewer than two of them.
    """
    found = []
    for frames in (result, reference):
        reservoir = Reservoir(capacity)
        for features in stream_features(frames, variables=variables, chunk=chunk, divisor=divisor):
            reservoir.add(features)
        found.append(reservoir.features)
    return kid_of_features(*found)
