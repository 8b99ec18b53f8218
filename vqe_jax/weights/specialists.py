"""The packaged model that a source gets where nobody names one.

The default helps any file. A specialist gains more on what it was trained for and harms the rest,
so it is taken where the source's codec and QP say that it is measured better (``python -m
benchmarks.specialists``; its table is in docs/results.md).
"""

from __future__ import annotations

from typing import NamedTuple

from vqe_jax.weights.model_file import DEFAULT_MODEL

__all__ = ["SPECIALISTS", "Specialist", "packaged_for"]


class Specialist(NamedTuple):
    """A model, and where it is measured better than the default.

    Attributes:
      model: packaged.
      codecs: of the source, by FFmpeg's names.
      lowest, highest: mean QP of the source's P frames (in the low-delay configuration of the
        literature 6 above the nominal QP).
    """

    model: str
    codecs: frozenset[str]
    lowest: float
    highest: float


SPECIALISTS = (Specialist("stdf_qp37", frozenset({"hevc"}), 41.0, 48.0),)


def packaged_for(codec: str, mean_qp: float | None) -> str:
    """The packaged model that is measured best for such a source.

    Args:
      codec: of the source, by the name of FFmpeg's decoder.
      mean_qp: of the source's P frames; None where it does not tell.

    Returns:
      A packaged model's name.

    Example:
      >>> packaged_for("hevc", 43.1), packaged_for("hevc", 30.0), packaged_for("vp9", None)
      ('stdf_qp37', 'any', 'any')
    """
    for one in SPECIALISTS:
        if codec in one.codecs and mean_qp is not None and one.lowest <= mean_qp <= one.highest:
            return one.model
    return DEFAULT_MODEL
