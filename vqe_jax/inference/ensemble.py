"""Averages over symmetries and over models, for any network.

Each member of an ensemble is a stream of its own; they run in step, so memory stays constant in
the clip's length. Turning a frame is undone on the result.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.inference.resolve import Frame, Model, resolve
from vqe_jax.inference.stream import enhance_frames
from vqe_jax.models.side import FrameInfo
from vqe_jax.symmetry import SYMMETRIES, apply_symmetry, inverse_symmetry

__all__ = ["SYMMETRIES", "enhance_frames_ensemble"]


def enhance_frames_ensemble(
    models: Sequence[Model],
    frames: Iterable[Frame],
    *,
    symmetries: Sequence[int] = SYMMETRIES,
    infos: Iterable[FrameInfo] | None = None,
    **options: Any,
) -> Iterator[np.ndarray]:
    """Enhances a stream with every model under every symmetry, and averages.

    Args:
      models: one or more of what :func:`enhance_frames` takes.
      frames: float frames ``[h, w, c]`` in [0, 1].
      symmetries: all eight (the x8 self-ensemble), or ``[0]`` for models alone;
        numbers as in :mod:`vqe_jax.symmetry`.
      infos: what is known of each frame.
      **options: those of :func:`enhance_frames`, for every member. A bidirectional network with
        ``long_range="exact"`` reads the whole clip first, so that it is held in memory here.

    Yields:
      float32 frames, the mean over all members; not clipped.

    Raises:
      UserError: no model or no symmetry.
    """
    if not models or not symmetries:
        raise UserError("an ensemble needs at least one model and one symmetry")
    members = [(resolve(model), s) for model in models for s in symmetries]
    # Members read in step, so the copies hold no more than the largest look-ahead.
    copies = itertools.tee(frames, len(members))
    told = [None] * len(members) if infos is None else itertools.tee(infos, len(members))
    streams = [
        _turned(
            enhance_frames(model, _turned(copy, symmetry), infos=info, **options),
            inverse_symmetry(symmetry),
        )
        for (model, symmetry), copy, info in zip(members, copies, told, strict=True)
    ]
    for results in zip(*streams, strict=True):
        total = np.zeros(results[0].shape, np.float32)
        for result in results:
            total += result
        yield total / np.float32(len(results))


def _turned(frames: Iterable[Frame], symmetry: int) -> Iterator[np.ndarray]:
    for frame in frames:
        yield np.ascontiguousarray(apply_symmetry(np.asarray(frame), symmetry, axis=-3))
