"""Averages over symmetries and over models, for any network.

Each member of an ensemble is a stream of its own; they run in step, so memory stays constant in
the clip's length. Turning a frame is undone on the result. :func:`symmetries_of` knows the
ensembles of the NTIRE 2021 report by the names of its Table 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from vqe_jax.errors import UserError, near_misses
from vqe_jax.inference.resolve import Frame, Model, resolve
from vqe_jax.inference.stream import enhance_frames
from vqe_jax.inference.windows import copies
from vqe_jax.models.side import FrameInfo
from vqe_jax.symmetry import MIRRORS, SYMMETRIES, TURNS, apply_symmetry, inverse_symmetry

__all__ = ["ENSEMBLES", "SYMMETRIES", "enhance_frames_ensemble", "ensemble_text", "symmetries_of"]

# x6 is NJU-Vision's (section 4.9 of the NTIRE 2021 report): the frame, two mirrors, three turns.
# The report says of Gogoing's x4 "flip/rotation" alone: the mirrors keep height and width.
ENSEMBLES: dict[str, tuple[int, ...]] = {
    "x1": (0,),
    "x2": (0, 1),
    "x4": MIRRORS,
    "x4_turns": TURNS,
    "x6": (*MIRRORS, *TURNS[1::2]),
    "x8": SYMMETRIES,
}
_TWELVE = {3: "x4", 2: "x6"}


def symmetries_of(name: str, models: int = 1) -> tuple[int, ...]:
    """The symmetries that each model of an ensemble sees.

    Args:
      name: a key of :data:`ENSEMBLES`, or ``"x12"``: three models with four symmetries each, or two
        with six (MT.MaxClear's "flip, rotation, multi-model x12").

    Returns:
      Numbers as in :mod:`vqe_jax.symmetry`.

    Raises:
      UserError: no such ensemble, or ``x12`` of another number of models.

    Example:
      >>> symmetries_of("x6"), len(symmetries_of("x12", models=3))
      ((0, 1, 2, 3, 5, 6), 4)
    """
    if name == "x12":
        if models not in _TWELVE:
            raise UserError(
                f"ensemble x12 averages three models with four symmetries each, or two with six; "
                f"{models} given: join their files by +, as A+B+C"
            )
        name = _TWELVE[models]
    if name not in ENSEMBLES:
        known = (*ENSEMBLES, "x12")
        raise UserError(
            f"ensemble {name!r} does not exist; expected one of {', '.join(known)}"
            f"{near_misses(name, known)}"
        )
    return ENSEMBLES[name]


def ensemble_text(symmetries: Sequence[int], models: int = 1) -> str:
    """What an ensemble averages, in words; empty where it averages nothing.

    Example:
      >>> ensemble_text(SYMMETRIES, 2), ensemble_text(MIRRORS), ensemble_text((0,))
      ('2 models, mirrors and turns x8: 16 passes', 'mirrors x4', '')
    """
    parts = [f"{models} models"] if models > 1 else []
    if len(symmetries) > 1:
        kinds = {"mirrors": set(symmetries) - set(TURNS), "turns": set(symmetries) - set(MIRRORS)}
        kind = " and ".join(name for name, found in kinds.items() if found)
        parts.append(f"{kind} x{len(symmetries)}")
    text = ", ".join(parts)
    return f"{text}: {models * len(symmetries)} passes" if len(parts) > 1 else text


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
    each = copies(frames, len(members))
    told = [None] * len(members) if infos is None else copies(infos, len(members))
    streams = [
        _turned(
            enhance_frames(model, _turned(copy, symmetry), infos=info, **options),
            inverse_symmetry(symmetry),
        )
        for (model, symmetry), copy, info in zip(members, each, told, strict=True)
    ]
    for results in zip(*streams, strict=True):
        total = np.zeros(results[0].shape, np.float32)
        for result in results:
            total += result
        yield total / np.float32(len(results))


def _turned(frames: Iterable[Frame], symmetry: int) -> Iterator[np.ndarray]:
    for frame in frames:
        yield np.ascontiguousarray(apply_symmetry(np.asarray(frame), symmetry, axis=-3))
