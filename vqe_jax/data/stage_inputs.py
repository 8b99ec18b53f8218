"""Another network's results in place of the compressed clips.

A second stage is trained on what a first one makes of the compressed clips. Computing that for the
crops of every step costs the first network again and again, and gives it less context than it has
on whole clips; here its results lie on disk, as the 8-bit RGB pictures they would be shown as, one
file a pair.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from vqe_jax.codes import to_codes
from vqe_jax.data.pair import Pair
from vqe_jax.data.stored import StoredFrames, is_whole, write_sealed
from vqe_jax.errors import UserError

__all__ = ["has_inputs", "inputs_path", "with_inputs", "write_inputs"]


def inputs_path(folder: str | os.PathLike[str], pair: Pair) -> Path:
    """The file of a pair: frames of interleaved R, G, B bytes, one after the other."""
    height, width = pair.size
    name = pair.name.replace("/", "_")
    return Path(folder) / f"{name}_qp{pair.qp}_{width}x{height}_{len(pair)}.rgb"


def write_inputs(
    folder: str | os.PathLike[str], pair: Pair, frames: Iterable[Float[np.ndarray, "h w 3"]]
) -> Path:
    """Keeps a network's results for a pair; the file appears when it is whole.

    Args:
      pair: whose compressed clip was enhanced.
      frames: the results, in [0, 1]; clipped and rounded to 8 bits.

    Returns:
      The file.

    Raises:
      UserError: fewer or more frames than the pair has.
    """
    path = inputs_path(folder, pair)
    count = 0
    with write_sealed(path) as part, part.open("wb") as out:
        for frame in frames:
            out.write(to_codes(frame).tobytes())
            count += 1
        if count != len(pair):
            raise UserError(f"{pair.name}: {count} results for {len(pair)} frames")
    return path


def has_inputs(folder: str | os.PathLike[str], pair: Pair) -> bool:
    """Whether the results for a pair are there and unchanged since they were written."""
    height, width = pair.size
    return is_whole(inputs_path(folder, pair), len(pair) * height * width * 3)


def with_inputs(pairs: Sequence[Pair], folder: str | os.PathLike[str] | None) -> tuple[Pair, ...]:
    """The pairs with another network's results as their compressed clips, in RGB.

    Args:
      folder: of :func:`write_inputs`; None leaves the pairs as they are.

    Raises:
      UserError: a result is missing; says how to make it.
    """
    if folder is None:
        return tuple(pairs)
    return tuple(_PairWithInputs(pair, Path(folder)) for pair in pairs)


class _PairWithInputs(Pair):
    def __init__(self, pair: Pair, folder: Path) -> None:
        super().__init__(pair.info, pair._store, pair._cache)
        self._pair = pair
        self._inputs = inputs_path(folder, pair)
        if not has_inputs(folder, pair):
            raise UserError(
                f"{self._inputs} is missing or damaged: the stage before has not been run on "
                f"{pair.name!r}; train it, then python -m vqe_jax.training.stage_inputs --help"
            )

    def clip(self, side: str, color: str) -> StoredFrames:
        """As of :class:`Pair`; the compressed clip is the other network's result."""
        if side != "compressed":
            return super().clip(side, color)
        if color != "rgb":
            raise UserError(
                f"{self.name}: the inputs in {self._inputs.parent} are RGB; use color='rgb'"
            )
        return StoredFrames(self._inputs, len(self), (*self.size, 3))

    def true_peaks(self) -> Bool[np.ndarray, " t"]:
        """Those of the compressed clip, which the results were made of."""
        return self._pair.true_peaks()
