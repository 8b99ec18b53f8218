"""What the data sets share: options of every build, and plans made of jobs."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

from vqe_jax.data.jobs import ClipJob, Recipe
from vqe_jax.data.variants import AugmentOptions
from vqe_jax.errors import UserError

__all__ = ["AugmentedOptions", "CommonOptions", "Plan", "option", "recipes", "with_variants"]


def option(default: Any, help: str, **more: Any) -> Any:
    """A field of options with the text that the command line shows.

    Args:
      default: its value.
      help: one line.
      **more: what else :func:`dataclasses.field` takes.
    """
    return dataclasses.field(default=default, metadata={"help": help, **more})


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """Options of every data set; each field's help is in its metadata."""

    qp: tuple[int, ...] = option((37,), "QPs of the fixed-QP recipe; one configuration each")
    recipe: str = option("low_delay_p", "low_delay_p (fixed QP, as HM's) or two_pass (bit rate)")
    kbps: int = option(200, "bit rate of the two_pass recipe, in kbit/s")
    preset: str | None = option(None, "x265's preset; default: the recipe's")
    frames: int | None = option(None, "use only the first so many frames of a clip")
    frame_rate: str | None = option(None, "frames per second of files that do not say it")
    name: str | None = option(None, "name of the configuration; default: qp37 and the like")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentedOptions(CommonOptions):
    """Options of data sets whose training clips may be varied before they are encoded."""

    augment: int = option(0, "variants of each training clip, made before encoding")
    qp_jitter: int = option(0, "variants are encoded at QPs up to so far from the one asked for")
    reverse: bool = option(True, "variants may run backwards")
    max_step: int = option(2, "variants may keep only every so-many-th frame")
    min_scale: float = option(0.5, "variants may be scaled down to this factor")
    min_crop: float = option(0.7, "variants may be cropped to this share of width and height")
    turn: bool = option(True, "variants may be mirrored and transposed")
    min_side: int = option(160, "variants keep at least this width and height, in pixels")
    min_frames: int = option(32, "thinned-out variants keep at least so many frames")
    max_frames: int = option(300, "variants have at most so many frames")
    seed: int = option(0, "of the variants, of the split, and of anything else left to chance")

    @property
    def variants(self) -> AugmentOptions:
        """What a variant may be."""
        names = [f.name for f in dataclasses.fields(AugmentOptions)]
        return AugmentOptions(**{name: getattr(self, name) for name in names})


@dataclasses.dataclass(frozen=True)
class Plan:
    """One configuration of a data set.

    Attributes:
      config_name: of it.
      description: one line.
      jobs: the pairs to make.
    """

    config_name: str
    description: str
    jobs: tuple[ClipJob, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for job in self.jobs:
            if job.name in seen:
                raise UserError(f"two clips are named {job.name!r}; rename one of their files")
            seen.add(job.name)

    @property
    def fingerprint(self) -> str:
        """Changes when any pair, or the split it belongs to, changes."""
        text = "\n".join(f"{job.split} {job.key}" for job in self.jobs)
        return hashlib.sha256(text.encode()).hexdigest()


def recipes(options: CommonOptions) -> list[tuple[str, int, Recipe]]:
    """Configuration name, QP and recipe of each configuration asked for.

    Args:
      options: of the build.

    Raises:
      UserError: an unknown recipe, a QP out of range, one name for several QPs.
    """
    if options.recipe == "two_pass":
        # No QP was asked for; what the rate control chose is in the records.
        name = options.name or f"two_pass_{options.kbps}k"
        made = [(name, 0, Recipe("two_pass", options.kbps, options.preset))]
    else:
        if options.name and len(options.qp) > 1:
            raise UserError("--name names one configuration; give a single --qp with it")
        made = [
            (options.name or f"qp{qp}", qp, Recipe(options.recipe, qp, options.preset))
            for qp in options.qp
        ]
    for _, _, recipe in made:
        recipe.build()
    return made


def with_variants(jobs: Sequence[ClipJob], options: AugmentedOptions) -> list[ClipJob]:
    """Adds variants of the training clips.

    Args:
      jobs: of one configuration.
      options: of the build.

    Returns:
      The jobs, each training clip followed by its variants ``NAME+1``, ``NAME+2``, ...
    """
    result = []
    for job in jobs:
        result.append(job)
        if job.split == "train" and job.recipe is not None:
            result += [_variant(job, index, options) for index in range(1, options.augment + 1)]
    return result


def _variant(job: ClipJob, index: int, options: AugmentedOptions) -> ClipJob:
    assert job.recipe is not None
    name = f"{job.name}+{index}"
    recipe, qp = job.recipe, job.qp
    if options.qp_jitter and recipe.name == "low_delay_p":
        digest = hashlib.sha256(f"{options.seed} {name}".encode()).digest()
        span = 2 * options.qp_jitter + 1
        qp = min(51, max(1, qp + int.from_bytes(digest[:8], "big") % span - options.qp_jitter))
        recipe = dataclasses.replace(recipe, value=qp)
    return dataclasses.replace(
        job, name=name, qp=qp, recipe=recipe, seed=options.seed, augment=options.variants
    )
