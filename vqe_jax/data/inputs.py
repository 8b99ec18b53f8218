"""Another network's results in place of the compressed clips.

A second stage is trained on what a first one makes of the compressed clips. Computing that for the
crops of every step costs the first network again and again, and gives it less context than it has
on whole clips; here its results lie on disk, as the 8-bit RGB pictures they would be shown as, one
memory-mapped file a pair.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from vqe_jax.data.pairs import Pair
from vqe_jax.errors import UserError

__all__ = ["inputs_path", "with_inputs", "write_inputs"]


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
      folder: of all of them.
      pair: whose compressed clip was enhanced.
      frames: the results, in [0, 1]; clipped and rounded to 8 bits.

    Returns:
      The file.

    Raises:
      UserError: fewer or more frames than the pair has.
    """
    path = inputs_path(folder, pair)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    count = 0
    try:
        with part.open("wb") as out:
            for frame in frames:
                out.write(np.round(np.clip(frame, 0, 1) * 255).astype(np.uint8).tobytes())
                count += 1
        if count != len(pair):
            raise UserError(f"{pair.name}: {count} results for {len(pair)} frames")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def with_inputs(pairs: Sequence[Pair], folder: str | os.PathLike[str] | None) -> tuple[Pair, ...]:
    """The pairs with another network's results as their compressed clips, in RGB.

    Args:
      pairs: of a data set.
      folder: of :func:`write_inputs`; None leaves the pairs as they are.

    Raises:
      UserError: a result is missing; says how to make it.
    """
    if folder is None:
        return tuple(pairs)
    return tuple(_PairWithInputs(pair, Path(folder)) for pair in pairs)


class _PairWithInputs(Pair):
    def __init__(self, pair: Pair, folder: Path) -> None:
        super().__init__(pair.info, pair._records, pair._cache)
        self._inputs = inputs_path(folder, pair)
        height, width = pair.size
        expected = len(pair) * height * width * 3
        if not self._inputs.is_file() or self._inputs.stat().st_size != expected:
            raise UserError(
                f"{self._inputs} is missing or cut short: the stage before has not been run on "
                f"{pair.name!r}; train it, then python -m vqe_jax.training.stage_inputs --help"
            )

    def rgb(self, which: str) -> UInt8[np.ndarray, "t h w 3"]:
        """As of :class:`Pair`; "compressed" is the other network's result."""
        if which != "compressed":
            return super().rgb(which)
        if which not in self._mapped:
            shape = (len(self), *self.size, 3)
            mapped = np.memmap(self._inputs, np.uint8, "r", shape=shape)
            self._mapped[which] = mapped.view(np.ndarray)
        return self._mapped[which]

    def luma(self, which: str) -> UInt8[np.ndarray, "t h w"]:
        """As of :class:`Pair`, for the raw clip alone."""
        if which == "compressed":
            raise UserError(f"{self.name}: the inputs in {self._inputs.parent} are RGB; use "
                            "color='rgb'")  # fmt: skip
        return super().luma(which)
