"""Frechet Inception distance (Heusel et al., 2017) of frames that are read once and not kept.

Whole frames are squashed to 299x299; features are those of the Inception network of 2015-12-05
after its last pooling. The same distance on other features is no FID and is not called so here.
With fewer frames than features (2048) the covariances are singular, which is usual for videos and
does no harm. The literature reports the mean of the videos' FIDs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from vqe_jax.errors import UserError
from vqe_jax.metrics.frames import applied_in_chunks
from vqe_jax.perceptual import InceptionV3
from vqe_jax.perceptual.images import Images, check_images

__all__ = ["Moments", "fid", "frechet_distance", "inception_features", "stream_features"]

# Frames of several sizes may come, so the annotation binds none.
_Frames = Iterable[jax.Array | np.ndarray]


def inception_features(
    frames: Images, *, variables: Mapping[str, Any], chunk: int = 16, divisor: int = 1
) -> Float[np.ndarray, "*b d"]:
    """Inception's features of frames.

    Args:
      frames: ``[..., h, w, c]`` in [0, 1], RGB or luma (copied to three channels).
      variables: ``load_perceptual("inception").variables`` of :mod:`vqe_jax.weights`.
      chunk: frames at a time; bounds the memory.
      divisor: every width is divided by it; above 1 in tests only.

    Raises:
      UserError: integers or values outside [0, 1] (says which conversion).
    """
    check_images(frames, "frames", reader="Inception")
    return applied_in_chunks(InceptionV3(divisor=divisor), variables, frames, chunk=chunk)


def stream_features(
    frames: _Frames, *, variables: Mapping[str, Any], chunk: int = 16, divisor: int = 1
) -> Iterator[Float[np.ndarray, "n d"]]:
    """Features of frames that come one by one, some frames at a time; arguments as above."""
    waiting: list[np.ndarray] = []

    def features() -> np.ndarray:
        stacked = np.stack(waiting)
        waiting.clear()
        return inception_features(stacked, variables=variables, chunk=chunk, divisor=divisor)

    for frame in frames:
        if waiting and frame.shape != waiting[0].shape:
            yield features()
        waiting.append(np.asarray(frame))
        if len(waiting) == chunk:
            yield features()
    if waiting:
        yield features()


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and scatter of features, added to bit by bit; memory does not grow with the frames.

    Attributes:
      scatter: the sum of the outer products of the features' deviations from the mean.

    Example:
      >>> moments = Moments.empty(2).add(np.eye(2)).add(np.zeros((1, 2)))
      >>> moments.count, moments.covariance.round(3).tolist()
      (3, [[0.333, -0.167], [-0.167, 0.333]])
    """

    count: int
    mean: Float[np.ndarray, " d"]
    scatter: Float[np.ndarray, "d d"]

    @classmethod
    def empty(cls, features: int = 2048) -> Moments:
        """Moments of nothing."""
        return cls(0, np.zeros(features), np.zeros((features, features)))

    def add(self, features: Float[np.ndarray, "n d"]) -> Moments:
        """With some more features, in float64."""
        x = np.asarray(features, np.float64)
        if len(x) == 0:
            return self
        mean = x.mean(0)
        return self.merge(Moments(len(x), mean, (x - mean).T @ (x - mean)))

    def merge(self, other: Moments) -> Moments:
        """Of both sets together (Chan's update, which does not cancel)."""
        count = self.count + other.count
        if count == 0:
            return self
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.count / count)
        between = np.outer(shift, shift) * (self.count * other.count / count)
        return Moments(count, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self) -> Float[np.ndarray, "d d"]:
        """With the denominator n - 1."""
        if self.count < 2:
            raise UserError(f"a covariance needs at least 2 frames, there are {self.count}")
        return self.scatter / (self.count - 1)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def frechet_distance(a: Moments, b: Moments) -> float:
    """``|ma - mb|^2 + tr(Ca + Cb - 2 (Ca Cb)^(1/2))``.

    The trace of the root is taken of ``Ca^(1/2) Cb Ca^(1/2)``, which has the same eigenvalues and
    is symmetric: no complex parts, and no constant on the diagonal where it is singular.

    Raises:
      UserError: fewer than two features in a set.
    """
    ca, cb = a.covariance, b.covariance
    root = _root(ca)
    product = root @ cb @ root
    eigenvalues = np.linalg.eigvalsh((product + product.T) / 2)
    overlap = np.sqrt(np.maximum(eigenvalues, 0)).sum()
    return float(np.sum((a.mean - b.mean) ** 2) + np.trace(ca) + np.trace(cb) - 2 * overlap)


def fid(
    result: _Frames,
    reference: _Frames,
    *,
    variables: Mapping[str, Any],
    chunk: int = 16,
    divisor: int = 1,
) -> float:
    """FID between two sets of frames; smaller is better, 0 for identical sets.

    Args:
      result: frames ``[h, w, c]`` in [0, 1], any iterable; read once.
      reference: the same of the truth; the number may differ.
      variables: ``load_perceptual("inception").variables`` of :mod:`vqe_jax.weights`.
      divisor: every width is divided by it; above 1 in tests only, where it is no FID.

    Raises:
      UserError: frames that are no floats in [0, 1], or fewer than two of them.
    """
    moments = []
    for frames in (result, reference):
        total = Moments.empty(2048 // divisor)
        for features in stream_features(frames, variables=variables, chunk=chunk, divisor=divisor):
            total = total.add(features)
        moments.append(total)
    return frechet_distance(*moments)
