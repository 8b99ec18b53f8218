"""What a source of a data set is, and what the sources share.

A :class:`Source` turns options into plans: which pairs there are to be made, of what, in which
split. Everything after that (encoding, storing, opening) is the same for all of them. A source of
one's own is a subclass anywhere: ``python -m vqe_jax.data my_module:MySource``.
"""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import inspect
from collections.abc import Sequence
from typing import Any, ClassVar

from vqe_jax.data.jobs import ClipJob, Origin
from vqe_jax.data.mixed import left_out, mixed_jobs
from vqe_jax.data.recipes import Recipe
from vqe_jax.data.store import round_name
from vqe_jax.data.variants import AugmentOptions
from vqe_jax.errors import UserError

__all__ = [
    "QP_PRESETS",
    "AugmentedOptions",
    "CommonOptions",
    "FilmOptions",
    "Plan",
    "Source",
    "option",
    "plans_of",
    "recipes",
    "with_variants",
]

_NEXT_ROUND = 7919  # added to the seed

QP_PRESETS: dict[str, dict[str, Any]] = {f"qp{qp}": {"qp": (qp,)} for qp in (22, 27, 32, 37, 42)}


def option(default: Any, help: str, **more: Any) -> Any:
    """A field of options with the text that the command line shows.

    Args:
      **more: what else :func:`dataclasses.field` takes.
    """
    return dataclasses.field(default=default, metadata={"help": help, **more})


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """Options of every data set; each field's help is in its metadata."""

    qp: tuple[int, ...] = option((37,), "QPs of the fixed-QP recipe; one configuration each")
    recipe: str = option(
        "low_delay_p", "low_delay_p (fixed QP, as HM's), two_pass, x264_crf, ..., or mixed"
    )
    quality: int | None = option(None, "CRF, quantiser or bits of recipes that have no QP")
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
    rounds: int = option(1, "make NAME_r1, ... too, encoded anew, for training with data.rounds")
    encodings: int = option(8, "of each clip, with --recipe mixed")
    seed: int = option(
        0, "of the variants, of the mixture, of the split, and of anything else left to chance"
    )

    @property
    def variants(self) -> AugmentOptions:
        """What a variant may be."""
        names = [f.name for f in dataclasses.fields(AugmentOptions)]
        return AugmentOptions(**{name: getattr(self, name) for name in names})


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmOptions(AugmentedOptions):
    """Options of data sets whose clips a virtual camera films."""

    length: int = option(40, "frames of a clip")
    width: int = option(416, "of the picture, in pixels")
    height: int = option(240, "of the picture, in pixels")
    noise: float = option(1.0, "of the sensor at mid-gray, in code values")
    speed: float = option(1.0, "scales all motion")

    def check(self) -> None:
        """Refuses pictures and clips that cannot be.

        Raises:
          UserError: names the option.
        """
        if self.width % 2 or self.height % 2 or min(self.width, self.height) < 64:
            raise UserError(f"{self.width}x{self.height} must be even and at least 64x64")
        if self.length < 1:
            raise UserError("--length must be at least 1")

    @property
    def of_scenes(self) -> dict[str, Any]:
        """What all scenes have in common."""
        frames = self.length if self.frames is None else self.frames
        return {"frames": frames, "width": self.width, "height": self.height}


@dataclasses.dataclass(frozen=True)
class Plan:
    """One configuration of a data set.

    Attributes:
      notes: what the user should know, a sentence each.
    """

    config_name: str
    description: str
    jobs: tuple[ClipJob, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for job in self.jobs:
            if job.name in seen:
                raise UserError(f"two clips are named {job.name!r}; rename one of their files")
            seen.add(job.name)

    @property
    def fingerprint(self) -> str:
        """Changes when any pair, or the split it belongs to, changes."""
        text = "\n".join(f"{job.split} {job.name} {job.key}{_told(job)}" for job in self.jobs)
        return hashlib.sha256(text.encode()).hexdigest()


def _told(job: ClipJob) -> str:
    """The QP of a given stream, which its key does not hold; a recipe's key holds the recipe's."""
    return f" qp{job.qp}" if job.compressed else ""


class Source(abc.ABC):
    """A data set that can be built; the docstring of a subclass describes it to its users.

    Attributes:
      Options: dataclass of the keywords of ``build`` and of the flags of the command line.
      presets: options of configurations that are known by their name.
    """

    name: ClassVar[str]
    Options: ClassVar[type[CommonOptions]] = CommonOptions
    presets: ClassVar[dict[str, dict[str, Any]]] = QP_PRESETS

    @property
    def description(self) -> str:
        """For people; the first line alone says what it is."""
        return inspect.cleandoc(type(self).__doc__ or "")

    @abc.abstractmethod
    def plan(self, options: Any) -> tuple[Plan, ...]:
        """Lists the pairs to make.

        Args:
          options: of the build, an instance of ``Options``.

        Raises:
          UserError: something is missing; says where it comes from.
        """


def recipes(options: CommonOptions) -> list[tuple[str, int | None, Recipe]]:
    """Configuration name, QP and recipe of each configuration asked for.

    Raises:
      UserError: an unknown recipe, a QP out of range, one name for several QPs.
    """
    kind = Recipe(options.recipe, 0).encoder
    if kind.unit != "qp":
        # No QP was asked for; what the rate control chose is in the records.
        value = options.kbps if options.recipe == "two_pass" else options.quality
        if value is None and kind.unit:
            raise UserError(f"--recipe {options.recipe} needs its {kind.unit}: --quality 28")
        one = Recipe(options.recipe, value or 0, options.preset).check()
        unit = "k" if options.recipe == "two_pass" else ""
        name = f"{one.name}_{value}{unit}" if kind.unit else one.name
        return [(options.name or name, None, one)]
    if options.name and len(options.qp) > 1:
        raise UserError("--name names one configuration; give a single --qp with it")
    made = [Recipe(options.recipe, qp, options.preset).check() for qp in options.qp]
    if options.recipe == "low_delay_p":
        return [(options.name or f"qp{r.value}", r.value, r) for r in made]
    return [(options.name or f"{r.name}_{r.value}", None, r) for r in made]


def plans_of(
    options: AugmentedOptions, clips: Sequence[tuple[str, str, Origin]], what: str
) -> tuple[Plan, ...]:
    """Plans that encode clips, by one recipe a configuration or by the mixture of them all."""
    if options.rounds < 1:
        raise UserError(f"--rounds {options.rounds}; expected at least 1")
    plans = []
    for number in range(options.rounds):
        # The split was drawn already, by the seed that was given.
        anew = dataclasses.replace(options, seed=options.seed + _NEXT_ROUND * number)
        for plan in _round(anew, clips, what):
            name = round_name(plan.config_name, number)
            plans.append(dataclasses.replace(plan, config_name=name))
    return tuple(plans)


def _round(
    options: AugmentedOptions, clips: Sequence[tuple[str, str, Origin]], what: str
) -> tuple[Plan, ...]:
    more = f"{options.augment} variants a training clip"
    if options.recipe == "mixed":
        plain = [ClipJob(*clip[:2], None, clip[2], Recipe("clean", 0)) for clip in clips]
        varied = with_variants(plain, options)
        jobs = mixed_jobs(varied, options.seed, options.encodings)
        text = f"{what} by {options.encodings} encoders a clip, {more}"
        return (Plan(options.name or "mixed", text, tuple(jobs), tuple(left_out())),)
    plans = []
    for config_name, qp, recipe in recipes(options):
        jobs = [ClipJob(name, split, qp, origin, recipe) for name, split, origin in clips]
        text = f"{what} encoded by {recipe}, {more}"
        plans.append(Plan(config_name, text, tuple(with_variants(jobs, options))))
    return tuple(plans)


def with_variants(jobs: Sequence[ClipJob], options: AugmentedOptions) -> list[ClipJob]:
    """Adds variants of the training clips.

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
        assert qp is not None
        digest = hashlib.sha256(f"{options.seed} {name}".encode()).digest()
        span = 2 * options.qp_jitter + 1
        qp = min(51, max(1, qp + int.from_bytes(digest[:8], "big") % span - options.qp_jitter))
        recipe = dataclasses.replace(recipe, value=qp)
    return dataclasses.replace(
        job, name=name, qp=qp, recipe=recipe, seed=options.seed, augment=options.variants
    )
