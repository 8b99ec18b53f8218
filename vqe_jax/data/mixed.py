"""The recipe ``mixed``: every clip by several encoders, at qualities drawn by the seed.

What a network meets in ordinary files was made by many encoders at many settings, and often at good
quality. Each clip is coded by the low-delay recipe of the literature and by others drawn without
replacement, so that over a data set every encoder and quality comes up; a few are not coded at all,
so that a network learns to leave alone what is clean.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from vqe_jax.data.jobs import ClipJob
from vqe_jax.data.recipes import ENCODERS, Recipe
from vqe_jax.errors import UserError

__all__ = ["draw_recipes", "left_out", "mixed_jobs"]


@dataclasses.dataclass(frozen=True)
class _Entry:
    name: str
    low: int
    high: int
    weight: float = 1.0
    presets: tuple[str, ...] = ()


# Qualities from hardly visible to poor; the two of CRF split at what is called good.
_MIXTURE = (
    _Entry("low_delay_p", 20, 47, presets=("medium", "slow")),
    _Entry("x265_crf", 18, 27, presets=("fast", "medium")),
    _Entry("x265_crf", 28, 40, presets=("fast", "medium")),
    _Entry("x264_crf", 18, 27, presets=("veryfast", "medium")),
    _Entry("x264_crf", 28, 42, presets=("veryfast", "medium")),
    _Entry("svt_av1", 25, 60, presets=("6", "7", "8", "9")),
    _Entry("vp9", 26, 58),
    _Entry("mpeg2", 3, 20, 0.6),
    _Entry("mpeg4", 3, 20, 0.6),
    _Entry("kvazaar", 22, 45, 0.6),
    _Entry("x265_qp", 20, 45, 0.4, ("fast", "medium")),
    _Entry("x264_qp", 20, 47, 0.4, ("veryfast", "medium")),
    _Entry("x265_bits", 10, 120, 0.6, ("fast", "medium")),
    _Entry("x264_bits", 15, 160, 0.6, ("veryfast", "medium")),
    _Entry("clean", 0, 0, 0.4),
)


def left_out() -> list[str]:
    """A sentence for each encoder of the mixture that this machine lacks."""
    names = dict.fromkeys(entry.name for entry in _MIXTURE)
    missing = {name: ENCODERS[name].missing() for name in names}
    return [f"{name} is left out: {reason}" for name, reason in missing.items() if reason]


def draw_recipes(clip: str, seed: int, count: int) -> list[Recipe]:
    """Draws how a clip is encoded; a function of its arguments and of the encoders that are there.

    Args:
      count: how many recipes, the low-delay one included.

    Raises:
      UserError: the mixture has fewer.

    Example:
      >>> [r.name for r in draw_recipes("park", 0, 1)]
      ['low_delay_p']
    """
    if not 1 <= count <= len(_MIXTURE):
        raise UserError(f"--encodings {count}; expected 1 to {len(_MIXTURE)}")
    rng = np.random.default_rng([seed, *clip.encode()])
    others = _MIXTURE[1:]
    weights = np.array([entry.weight for entry in others])
    order = rng.choice(len(others), len(others), replace=False, p=weights / weights.sum())
    drawn = [_draw(entry, rng) for entry in (_MIXTURE[0], *(others[i] for i in order))]
    # Drawn first, left out later: a missing encoder changes no other draw.
    return [recipe for recipe in drawn if not recipe.encoder.missing()][:count]


def _draw(entry: _Entry, rng: np.random.Generator) -> Recipe:
    value = int(rng.integers(entry.low, entry.high + 1))
    preset = str(rng.choice(entry.presets)) if entry.presets else None
    return Recipe(entry.name, value, preset)


def mixed_jobs(jobs: Sequence[ClipJob], seed: int, encodings: int) -> list[ClipJob]:
    """The pairs of a mixed data set.

    Args:
      jobs: one a raw clip, variants included.

    Returns:
      Jobs named ``CLIP@RECIPE_VALUE``.
    """
    made = []
    for job in jobs:
        for recipe in draw_recipes(job.name, seed, encodings):
            label = "_".join([recipe.name, *recipe.quality.split()[1:]])
            qp = recipe.value if recipe.name == "low_delay_p" else None
            made.append(
                dataclasses.replace(
                    job, name=f"{job.name}@{label}", clip=job.name, recipe=recipe, qp=qp
                )
            )
    return made
