"""Scene cuts: where a recurrent network should forget what it saw."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Array, Float

__all__ = ["SceneCut", "scenes"]

Frame = Float[np.ndarray, "h w c"] | Float[Array, "h w c"]


@dataclasses.dataclass(frozen=True)
class SceneCut:
    """Decides from two successive frames whether the scene changed.

    A cut needs both signs: the histogram moved (a pan keeps it) and the picture did (a flash of
    light or a fade moves the histogram alone by less).

    Attributes:
      histogram: least share of pixels that changed their bin of 1/32, in [0, 1].
      difference: least mean absolute difference of the frames shrunk to about 32 x 32 samples.
    """

    histogram: float = 0.3
    difference: float = 0.08

    def __call__(self, before: Frame, after: Frame) -> bool:
        """Whether ``after`` begins a new scene."""
        old, new = _thumbnail(before), _thumbnail(after)
        if float(np.abs(old - new).mean()) < self.difference:
            return False
        moved = np.abs(_histogram(old) - _histogram(new)).sum() / 2
        return bool(moved >= self.histogram)


def _thumbnail(frame: Frame) -> np.ndarray:
    picture = np.asarray(frame).mean(axis=-1)
    rows, cols = (max(1, side // 32) for side in picture.shape)
    h, w = picture.shape[0] // rows * rows, picture.shape[1] // cols * cols
    return picture[:h, :w].reshape(h // rows, rows, w // cols, cols).mean(axis=(1, 3))


def _histogram(picture: np.ndarray) -> np.ndarray:
    counts, _ = np.histogram(picture, bins=32, range=(0.0, 1.0))
    return counts / picture.size


def scenes(frames: Iterable[Frame], cut: SceneCut) -> Iterator[Iterator[Frame]]:
    """Splits a stream at its cuts without holding it: each scene must be consumed in turn.

    Yields:
      One iterator a scene.
    """

    def numbered() -> Iterator[tuple[int, Frame]]:
        scene, before = 0, None
        for frame in frames:
            scene += before is not None and cut(before, frame)
            before = frame
            yield scene, frame

    for _, group in itertools.groupby(numbered(), key=lambda pair: pair[0]):
        yield (frame for _, frame in group)
