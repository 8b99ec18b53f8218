"""The two sides of adversarial training: options, discriminators, and what each side lowers."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from vqe_jax.errors import UserError, check_known, check_names
from vqe_jax.losses.adversarial import (
    AdversarialLoss,
    adversarial,
    feature_matching,
    gradient_penalty,
    interpolated_gradient_penalty,
)
from vqe_jax.registry import Registry
from vqe_jax.training import corruption
from vqe_jax.training.objective import Objective, build_objective
from vqe_jax.training.sections import read_section
from vqe_jax.training.stages import Optimizer, Stage
from vqe_jax.training.step import Metrics

__all__ = ["DISCRIMINATORS", "Game", "Options", "build_game", "read_options", "register"]

Clip = Float[Array, "b t h w c"]
Seen = Float[Array, "n h w c"] | Clip  # what a discriminator looks at: frames, or whole clips

_PENALTIES = ("r1", "interpolated")
_LINEN = ("parent", "name")

DISCRIMINATORS: Registry[type[nn.Module]] = Registry(
    "discriminator",
    {
        "high_pass": "vqe_jax.nn.high_pass_discriminator:HighPassDiscriminator",
        "multiscale": "vqe_jax.nn.multiscale:MultiScaleDiscriminator",
        "patchgan": "vqe_jax.nn.patchgan:PatchDiscriminator",
    },
    check=lambda x: isinstance(x, type) and issubclass(x, nn.Module),
    expected="a subclass of flax.linen.Module",
)

register = DISCRIMINATORS.register


@dataclasses.dataclass(frozen=True)
class Options:
    """A stage's ``options``; the defaults are PeQuENet's released recipe.

    Attributes:
      loss: "lsgan", "ragan", "rsgan" or "hinge".
      feature_matching: weight of the distance between the discriminator's maps; 0: without.
      discriminator: its ``name`` in :data:`DISCRIMINATORS` ("patchgan" where there is none) and
        its fields. It has a field ``channels`` and is called as ``(frames [n, h, w, c], train=)``;
        it returns scores ``[n, ...]`` and a tuple of feature maps. With a class attribute
        ``sees_clips = True`` it is given clips ``[b, t, h, w, c]``.
      discriminator_learning_rate: None: that of the stage. Both follow the stage's schedule.
      penalty: "r1" (gradient at raw frames), "interpolated" (WGAN-GP), or None.
      sample_every: steps between sample pictures; 0: none.
      collapse_steps: after so many steps in a row in which the discriminator has won
        altogether, or tells nothing apart, that is said.
    """

    loss: str = "lsgan"
    weight: float = 1.0
    feature_matching: float = 10.0
    discriminator: dict[str, Any] = dataclasses.field(default_factory=dict)
    discriminator_steps: int = 1
    discriminator_learning_rate: float | None = None
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    penalty: str | None = None
    penalty_weight: float = 10.0
    sample_every: int = 1000
    collapse_steps: int = 1000


def read_options(stage: Stage, channels: int) -> tuple[Options, nn.Module]:
    """A stage's options, checked, and its discriminator.

    Args:
      stage: of kind "adversarial".

    Raises:
      UserError: an unknown or impossible option.
    """
    where = f"stage {stage.name!r}: options"
    options: Options = read_section(Options, dict(stage.options), where)
    check_known(f"{where}.penalty=", options.penalty, (None, *_PENALTIES))
    if options.discriminator_steps < 1:
        raise UserError(
            f"{where}.discriminator_steps={options.discriminator_steps} must be at least 1"
        )
    if options.discriminator_learning_rate is not None and not stage.learning_rate:
        raise UserError(
            f"{where}.discriminator_learning_rate={options.discriminator_learning_rate} follows "
            "the stage's schedule, but its learning_rate is 0; to hold the generator alone, give "
            "it a rate and set rates=(('', 0),)"
        )
    return options, _discriminator(options.discriminator, channels, f"{where}.discriminator")


def _discriminator(section: dict[str, Any], channels: int, where: str) -> nn.Module:
    given = {"channels": channels} | section
    made = DISCRIMINATORS.get(given.pop("name", "patchgan"))
    fields = [f.name for f in dataclasses.fields(made) if f.name not in _LINEN]
    check_names(where, "key", given, fields)
    return made(**given)


@dataclasses.dataclass(frozen=True)
class Game:
    """What both sides play by; pure functions of frames, variables and scores."""

    options: Options
    loss: AdversarialLoss
    discriminator: nn.Module
    objective: Objective

    def seen(self, clip: Clip) -> Seen:
        """A clip as the discriminator looks at it."""
        if getattr(self.discriminator, "sees_clips", False):
            return clip
        return clip.reshape(-1, *clip.shape[2:])

    def look(self, params: Any, stats: Any, seen: Seen) -> tuple[Array, Any, Any]:
        """Scores, feature maps, and the statistics that this call has moved."""
        (scores, maps), moved = self.discriminator.apply(
            {"params": params, "batch_stats": stats}, seen, train=True, mutable=["batch_stats"]
        )
        return scores, maps, moved.get("batch_stats", stats)

    def discriminator_loss(
        self, params: Any, stats: Any, real: Seen, fake: Seen, key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        """What the discriminator lowers, its moved statistics, and how well it tells apart."""
        fake_scores, _, stats = self.look(params, stats, fake)
        real_scores, _, stats = self.look(params, stats, real)
        loss = self.loss.discriminator(real_scores, fake_scores)
        report = self._report(real_scores, fake_scores) | {"discriminator/loss": loss}
        if self.options.penalty is not None:
            penalty = self._penalty(params, stats, real, fake, key)
            loss = loss + self.options.penalty_weight * penalty
            report["discriminator/penalty"] = penalty
        return loss, (stats, report)

    def _penalty(
        self, params: Any, stats: Any, real: Seen, fake: Seen, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        def score(seen: Seen) -> Array:
            scores = self.look(params, stats, seen)[0]
            return scores.reshape(len(scores), -1).mean(axis=1)

        if self.options.penalty == "r1":
            return gradient_penalty(score, real)
        return interpolated_gradient_penalty(key, score, real, fake)

    def _report(self, real: Array, fake: Array) -> Metrics:
        """Shares of patches scored rightly, and how much the scores differ at all."""
        line = self.loss.threshold
        above, below = (line, line) if line is not None else (fake.mean(), real.mean())
        return {
            "discriminator/accuracy_real": (real > above).mean(dtype=jnp.float32),
            "discriminator/accuracy_fake": (fake < below).mean(dtype=jnp.float32),
            "discriminator/spread": jnp.concatenate([real.ravel(), fake.ravel()]).std(),
        }

    def generator_loss(
        self,
        outputs: dict[str, Any],
        batch: corruption.Batch,
        discriminator: tuple[Any, Any],
        weights: Any,
        step: Any = 0,
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        """What the generator lowers, the discriminator's moved statistics, and each loss.

        Args:
          batch: cut to the frames to compare; its ``raw`` is the ground truth.
          weights: of the losses that look through a frozen network.
        """
        params, stats = discriminator
        fake_scores, fake_maps, stats = self.look(params, stats, self.seen(outputs["picture"]))
        real_scores, real_maps, stats = self.look(params, stats, self.seen(batch["raw"]))
        total, values = self.objective(outputs, batch, weights, step)
        values["loss/adversarial"] = self.loss.generator(real_scores, fake_scores)
        total = total + self.options.weight * values["loss/adversarial"]
        if self.options.feature_matching:
            matching = feature_matching(real_maps, fake_maps)
            values["loss/feature_matching"] = matching
            total = total + self.options.feature_matching * matching
        return total, (stats, values)


def build_game(stage: Stage, channels: int) -> Game:
    """The two sides of a stage.

    Raises:
      UserError: unknown losses or options.
    """
    options, discriminator = read_options(stage, channels)
    return Game(options, adversarial(options.loss), discriminator, build_objective(stage))
