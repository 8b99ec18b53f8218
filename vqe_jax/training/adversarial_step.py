"""The adversarial step: a generator, its discriminator, and their losses, in one jitted step.

As in PeQuENet's released code, the generator runs once; the discriminator is stepped first on its
detached result and on the raw frames, then the generator against the discriminator as it has
become. All of the discriminator's calls normalise by their own batch. Both sides live in one
:class:`~vqe_jax.training.state.TrainState` (the discriminator in ``auxiliary``), so checkpoints and
resume are those of every other stage. A step that is not finite on either side is skipped whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from vqe_jax import losses
from vqe_jax.errors import UserError, near_misses
from vqe_jax.losses.adversarial import (
    AdversarialLoss,
    adversarial,
    feature_matching,
    gradient_penalty,
    interpolated_gradient_penalty,
)
from vqe_jax.models import Network
from vqe_jax.nn.patchgan import PatchDiscriminator
from vqe_jax.training import corruption
from vqe_jax.training.optimizer import build_optimizer, build_schedule, lr_factors
from vqe_jax.training.samples import side_by_side
from vqe_jax.training.stages import Optimizer, Stage, Term, read_section
from vqe_jax.training.state import TrainState, exported_variables, new_state
from vqe_jax.training.step import (
    Metrics,
    Place,
    Step,
    build_terms,
    descend,
    finish,
    jit_step,
    loss_weights,
    total_loss,
    whole_windows,
    without_frozen,
)

__all__ = ["Game", "Options", "make_step"]

Frames = Float[Array, "n h w c"]
Clip = Float[Array, "b t h w c"]

_PENALTIES = ("r1", "interpolated")
# The discriminator's key is folded from the seed far from the numbers of steps.
_DISCRIMINATOR = 2_000_000_011


@dataclasses.dataclass(frozen=True)
class Options:
    """A stage's ``options``; the defaults are PeQuENet's released recipe.

    Attributes:
      loss: "lsgan", "ragan", "rsgan" or "hinge".
      weight: of the generator's adversarial loss.
      feature_matching: weight of the distance between the discriminator's maps; 0: without.
      discriminator: fields of :class:`vqe_jax.nn.patchgan.PatchDiscriminator`.
      discriminator_steps: its updates in each step.
      discriminator_learning_rate: None: that of the stage. Both follow the stage's schedule.
      optimizer: the discriminator's.
      penalty: "r1" (gradient at raw frames), "interpolated" (WGAN-GP), or None.
      penalty_weight: of that.
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


def read_options(stage: Stage, channels: int) -> tuple[Options, PatchDiscriminator]:
    """A stage's options, checked, and its discriminator.

    Args:
      stage: of kind "adversarial".
      channels: of the frames.

    Raises:
      UserError: an unknown or impossible option.
    """
    where = f"stage {stage.name!r}: options"
    options: Options = read_section(Options, dict(stage.options), where)
    if options.penalty not in (None, *_PENALTIES):
        hint = near_misses(str(options.penalty), _PENALTIES)
        raise UserError(f"{where}.penalty={options.penalty!r} does not exist{hint}")
    if options.discriminator_steps < 1:
        raise UserError(
            f"{where}.discriminator_steps={options.discriminator_steps} must be at least 1"
        )
    fields = [f.name for f in dataclasses.fields(PatchDiscriminator) if f.name not in _LINEN]
    for key in options.discriminator:
        if key not in fields:
            raise UserError(f"{where}.discriminator has no key {key!r}{near_misses(key, fields)}")
    return options, PatchDiscriminator(**({"channels": channels} | options.discriminator))


_LINEN = ("parent", "name")


@dataclasses.dataclass(frozen=True)
class Game:
    """What both sides play by; pure functions of frames, variables and scores.

    Attributes:
      options: of the stage.
      loss: the pair of adversarial losses.
      judge: the discriminator.
      terms: the generator's other losses.
    """

    options: Options
    loss: AdversarialLoss
    judge: PatchDiscriminator
    terms: list[tuple[Term, losses.Loss]]

    def look(self, params: Any, stats: Any, frames: Frames) -> tuple[Array, Any, Any]:
        """Scores, feature maps, and the statistics that this call has moved."""
        (scores, maps), moved = self.judge.apply(
            {"params": params, "batch_stats": stats}, frames, train=True, mutable=["batch_stats"]
        )
        return scores, maps, moved["batch_stats"]

    def discriminator_loss(
        self, params: Any, stats: Any, real: Frames, fake: Frames, key: PRNGKeyArray
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
        self, params: Any, stats: Any, real: Frames, fake: Frames, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        def score(frames: Frames) -> Array:
            return self.look(params, stats, frames)[0].mean(axis=(1, 2, 3))

        if self.options.penalty == "r1":
            return gradient_penalty(score, real)
        return interpolated_gradient_penalty(key, score, real, fake)

    def _report(self, real: Array, fake: Array) -> Metrics:
        """Shares of patches judged rightly, and how much the scores differ at all."""
        line = self.loss.threshold
        above, below = (line, line) if line is not None else (fake.mean(), real.mean())
        return {
            "discriminator/accuracy_real": (real > above).mean(dtype=jnp.float32),
            "discriminator/accuracy_fake": (fake < below).mean(dtype=jnp.float32),
            "discriminator/spread": jnp.concatenate([real.ravel(), fake.ravel()]).std(),
        }

    def generator_loss(
        self,
        fake: Clip,
        raw: Clip,
        batch: corruption.Batch,
        critic: tuple[Any, Any],
        weights: Any,
    ) -> tuple[Float[Array, ""], tuple[Any, Metrics]]:
        """What the generator lowers, the discriminator's moved statistics, and each loss.

        Args:
          fake: the generator's frames.
          raw: what they should be.
          batch: see :func:`vqe_jax.training.step.total_loss`.
          critic: the discriminator's parameters and statistics.
          weights: of the losses that look through a frozen network.
        """
        params, stats = critic
        fake_scores, fake_maps, stats = self.look(params, stats, _frames(fake))
        real_scores, real_maps, stats = self.look(params, stats, _frames(raw))
        total, values = total_loss(self.terms, fake, raw, batch, weights)
        values["loss/adversarial"] = self.loss.generator(real_scores, fake_scores)
        total = total + self.options.weight * values["loss/adversarial"]
        if self.options.feature_matching:
            matching = feature_matching(real_maps, fake_maps)
            values["loss/feature_matching"] = matching
            total = total + self.options.feature_matching * matching
        return total, (stats, values)


def _frames(clip: Clip) -> Frames:
    return clip.reshape(-1, *clip.shape[2:])


class _Trainer:
    """The step's parts, with everything that is static bound."""

    def __init__(self, stage: Stage, network: Network, place: Place) -> None:
        channels = getattr(network, "channels", 1)
        self.stage, self.network, self.place = stage, network, place
        self.options, judge = read_options(stage, channels)
        self.game = Game(self.options, adversarial(self.options.loss), judge, build_terms(stage))
        self.optimizer = build_optimizer(stage)
        self.schedule = build_schedule(stage)
        self.corrupt = corruption.build(stage.corruption)
        alone = Stage(stage.name, stage.steps, optimizer=self.options.optimizer)
        self.judge_optimizer = build_optimizer(alone)

    def init_state(self, variables: Any) -> TrainState:
        """Both sides at the start of the stage."""
        lr_factors(self.stage, variables["params"])  # patterns that match nothing are said here
        state = new_state(
            variables,
            self.optimizer.init(variables["params"]),
            step=self.place.first_step,
            averaged=self.stage.ema > 0,
            auxiliary=self._new_judge(),
        )
        return jax.device_put(state, self.place.replicated)

    def _new_judge(self) -> dict[str, Any]:
        judge = self.game.judge
        key = jax.random.fold_in(jax.random.key(self.place.seed), _DISCRIMINATOR)
        frames = jnp.zeros((1, 64, 64, judge.channels))
        variables = jax.jit(judge.init)(key, frames)
        return {
            "params": variables["params"],
            "stats": variables["batch_stats"],
            "opt_state": self.judge_optimizer.init(variables["params"]),
            "won_in_a_row": jnp.zeros((), jnp.int32),
            "flat_in_a_row": jnp.zeros((), jnp.int32),
        }

    def step(self, state: TrainState, batch: corruption.Batch, weights: Any) -> Any:
        """``(state, batch, weights) -> (state, metrics)``."""
        key = jax.random.fold_in(jax.random.key(self.place.seed), state.step)
        noise_key, dropout_key, penalty_key = jax.random.split(key, 3)
        if self.corrupt is not None:
            batch = self.corrupt(noise_key, batch)
        method, judged = whole_windows(self.network, batch)
        stage_step = state.step - self.place.first_step
        rate = self.schedule(stage_step)

        def generate(params: Any) -> tuple[Clip, Any]:
            variables = {"params": without_frozen(self.stage, params), **state.stats}
            result, stats = self.network.apply(
                variables, batch["compressed"], qp=batch.get("qp"), train=True,
                mutable=["batch_stats"], rngs={"dropout": dropout_key}, method=method,
            )  # fmt: skip
            return result.astype(jnp.float32), dict(stats)

        fake, pull_back, stats = jax.vjp(generate, state.params, has_aux=True)
        raw = judged["raw"]
        critic, report, critic_finite = self._train_judge(
            state.auxiliary, _frames(raw), _frames(fake), rate, stage_step, penalty_key
        )
        play = jax.value_and_grad(self.game.generator_loss, has_aux=True)
        (loss, (critic_stats, values)), d_fake = play(
            fake, raw, judged, (critic["params"], critic["stats"]), weights
        )
        (grads,) = pull_back(d_fake)
        new, norms, finite = descend(self.stage, self.optimizer, rate, state, grads, stage_step)
        critic = self._watch(critic | {"stats": critic_stats}, report)
        new = new.replace(stats={**state.stats, **stats}, auxiliary=critic)
        ok = finite & critic_finite & jnp.isfinite(loss)
        counters = {f"discriminator/{k}": critic[k] for k in ("won_in_a_row", "flat_in_a_row")}
        return finish(ok, new, state, {"loss": loss, **norms, **values, **report, **counters})

    def _train_judge(
        self,
        critic: dict[str, Any],
        real: Frames,
        fake: Frames,
        rate: Array,
        stage_step: Array,
        key: PRNGKeyArray,
    ) -> tuple[dict[str, Any], Metrics, Array]:
        """The discriminator's updates of one step; its report is of the first of them."""
        options = self.options
        if options.discriminator_learning_rate is not None:
            rate = rate * (options.discriminator_learning_rate / self.stage.learning_rate)
        learn = jax.value_and_grad(self.game.discriminator_loss, has_aux=True)
        finite, first = jnp.ones((), bool), None
        for i in range(options.discriminator_steps):
            params = critic["params"]
            (loss, (stats, report)), grads = learn(
                params, critic["stats"], real, fake, jax.random.fold_in(key, i)
            )
            updates, opt_state = self.judge_optimizer.update(
                grads, critic["opt_state"], params, stage_step=stage_step
            )
            params = jax.tree.map(lambda p, u: p + rate * u, params, updates)
            norm = optax.tree.norm(grads)
            finite &= jnp.isfinite(loss) & jnp.isfinite(norm)
            critic = critic | {"params": params, "stats": stats, "opt_state": opt_state}
            first = first or report | {"discriminator/grad_norm": norm}
        assert first is not None
        return critic, first, finite

    @staticmethod
    def _watch(critic: dict[str, Any], report: Metrics) -> dict[str, Any]:
        """Counts the steps in a row in which there was nothing to learn from."""
        right = jnp.minimum(
            report["discriminator/accuracy_real"], report["discriminator/accuracy_fake"]
        )
        counts = {
            "won_in_a_row": right > 0.99,
            "flat_in_a_row": report["discriminator/spread"] < 1e-3,
        }
        return critic | {k: jnp.where(now, critic[k] + 1, 0) for k, now in counts.items()}

    def warn(self, metrics: dict[str, float]) -> str | None:
        """Says that the discriminator has collapsed, once for each time that it does."""
        limit = self.options.collapse_steps
        if metrics["discriminator/won_in_a_row"] == limit:
            return (
                f"the discriminator has judged over 99% of all patches rightly for {limit} steps "
                "and teaches the generator little; lower options.discriminator_learning_rate, or "
                "set options.penalty='r1'"
            )
        if metrics["discriminator/flat_in_a_row"] == limit:
            return (
                f"the discriminator has given all patches the same score for {limit} steps and "
                "teaches the generator nothing; raise options.discriminator_learning_rate or "
                "options.discriminator_steps, or start again from a checkpoint before it"
            )
        return None

    def sample(self, state: TrainState, batch: corruption.Batch) -> Float[Array, "h w c"]:
        """The middle frame of the first clip: compressed, enhanced, raw."""
        variables = exported_variables(state)
        qp = None if batch.get("qp") is None else batch["qp"][:1]
        clip, middle = batch["compressed"][:1], batch["compressed"].shape[1] // 2
        enhanced: Any = self.network.apply(variables, clip, qp=qp)
        return side_by_side(clip[0, middle], enhanced[0, middle], batch["raw"][0, middle])


def make_step(stage: Stage, network: Network, place: Place) -> Step:
    """The adversarial step of a stage.

    Args:
      stage: what to train and how; its ``losses`` are the generator's beside the adversarial one
        and feature matching, its ``options`` those of :class:`Options`.
      network: the generator.
      place: devices, first step and seed.

    Returns:
      How to start a state, the jitted step, the warnings and the sample pictures.

    Raises:
      UserError: unknown losses or options, patterns that match nothing, missing weights.
    """
    trainer = _Trainer(stage, network, place)
    weights = loss_weights(trainer.game.terms, place)
    jitted = jit_step(trainer.step, place)
    sample: Callable[..., Any] = jax.jit(trainer.sample, out_shardings=place.replicated)
    return Step(
        trainer.init_state,
        lambda state, batch: jitted(state, batch, weights),
        warn=trainer.warn,
        sample=sample,
        sample_every=trainer.options.sample_every,
    )
