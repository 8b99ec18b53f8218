"""The adversarial step: a generator, its discriminator, and their losses, in one jitted step.

As in PeQuENet's released code, the generator runs once; the discriminator is stepped first on its
detached result and on the raw frames, then the generator against the discriminator as it has
become. All of the discriminator's calls normalize by their own batch. Both sides live in one
:class:`~vqe_jax.training.state.TrainState` (the discriminator in ``auxiliary``), so checkpoints and
resume are those of every other stage. A step that is not finite on either side is skipped whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from vqe_jax.models import Network
from vqe_jax.training import corruption
from vqe_jax.training.forward import apply_network, prepare, side_of, whole_windows
from vqe_jax.training.game import Seen, build_game
from vqe_jax.training.optimizer import build_optimizer, build_schedule
from vqe_jax.training.samples import side_by_side
from vqe_jax.training.stages import Stage
from vqe_jax.training.state import TrainState, exported_variables
from vqe_jax.training.step import Metrics, Place, Step, jit_step
from vqe_jax.training.update import begin, descend, finish, without_frozen

__all__ = ["Trainer", "make_step"]

# The discriminator's key is folded from the seed far from the numbers of steps.
_DISCRIMINATOR = 2_000_000_011
_COUNTERS = ("won_in_a_row", "flat_in_a_row")


class Trainer:
    """The step's parts, with everything that is static bound."""

    def __init__(self, stage: Stage, network: Network, place: Place) -> None:
        self.stage, self.network, self.place = stage, network, place
        self.game = build_game(stage, network.channels)
        self.options = self.game.options
        self.game.objective.check(network, f"stage {stage.name!r}")
        self.optimizer = build_optimizer(stage)
        self.schedule = build_schedule(stage)
        self.corrupt = corruption.build(stage.corruption)
        alone = Stage(stage.name, stage.steps, optimizer=self.options.optimizer)
        self.discriminator_optimizer = build_optimizer(alone)

    def init_state(self, variables: Any) -> TrainState:
        """Both sides at the start of the stage."""
        return begin(self.stage, self.optimizer, self.place, variables, self.new_discriminator)

    def new_discriminator(self) -> dict[str, Any]:
        """The discriminator's part of the state, a function of the seed."""
        module = self.game.discriminator
        key = jax.random.fold_in(jax.random.key(self.place.seed), _DISCRIMINATOR)
        clip = jnp.zeros((1, 1, 64, 64, module.channels))
        variables = module.init(key, self.game.seen(clip), train=False)
        return {
            "params": variables["params"],
            "stats": variables.get("batch_stats", {}),
            "opt_state": self.discriminator_optimizer.init(variables["params"]),
            **{counter: jnp.zeros((), jnp.int32) for counter in _COUNTERS},
        }

    def step(self, state: TrainState, batch: corruption.Batch, weights: Any) -> Any:
        """``(state, batch, weights) -> (state, metrics)``."""
        batch, (dropout_key, penalty_key) = prepare(state, batch, self.place, self.corrupt, keys=3)
        method, compared = whole_windows(self.network, batch)
        stage_step = state.step - self.place.first_step
        rate = self.schedule(stage_step)

        def generate(params: Any) -> tuple[dict[str, Any], tuple[Any, Metrics]]:
            variables = {"params": without_frozen(self.stage, params), **state.stats}
            asked = self.game.objective.outputs
            result = apply_network(
                self.network, variables, batch, dropout_key, method, outputs=asked
            )
            return result.outputs, (result.stats, result.sown)

        outputs, pull_back, (stats, sown) = jax.vjp(generate, state.params, has_aux=True)
        real, fake = self.game.seen(compared["raw"]), self.game.seen(outputs["picture"])
        discriminator, report, discriminator_finite = self.train_discriminator(
            state.auxiliary, real, fake, rate, stage_step, penalty_key
        )
        play = jax.value_and_grad(self.game.generator_loss, has_aux=True)
        against = (discriminator["params"], discriminator["stats"])
        (loss, (moved, values)), d_outputs = play(outputs, compared, against, weights, stage_step)
        (grads,) = pull_back(d_outputs)
        new, norms, finite = descend(self.stage, self.optimizer, rate, state, grads, stage_step)
        discriminator = self.watch(discriminator | {"stats": moved}, report)
        new = new.replace(stats={**state.stats, **stats}, auxiliary=discriminator)
        ok = finite & discriminator_finite & jnp.isfinite(loss)
        counters = {f"discriminator/{k}": discriminator[k] for k in _COUNTERS}
        metrics = {"loss": loss, **norms, **values, **report, **counters, **sown}
        return finish(ok, new, state, metrics)

    def train_discriminator(
        self,
        discriminator: dict[str, Any],
        real: Seen,
        fake: Seen,
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
            params = discriminator["params"]
            (loss, (stats, report)), grads = learn(
                params, discriminator["stats"], real, fake, jax.random.fold_in(key, i)
            )
            updates, opt_state = self.discriminator_optimizer.update(
                grads, discriminator["opt_state"], params, stage_step=stage_step
            )
            params = jax.tree.map(lambda p, u: p + rate * u, params, updates)
            norm = optax.tree.norm(grads)
            finite &= jnp.isfinite(loss) & jnp.isfinite(norm)
            discriminator = discriminator | {
                "params": params,
                "stats": stats,
                "opt_state": opt_state,
            }
            first = first or report | {"discriminator/grad_norm": norm}
        assert first is not None
        return discriminator, first, finite

    @staticmethod
    def watch(discriminator: dict[str, Any], report: Metrics) -> dict[str, Any]:
        """Counts the steps in a row in which there was nothing to learn from."""
        right = jnp.minimum(
            report["discriminator/accuracy_real"], report["discriminator/accuracy_fake"]
        )
        counts = {
            "won_in_a_row": right > 0.99,
            "flat_in_a_row": report["discriminator/spread"] < 1e-3,
        }
        return discriminator | {
            k: jnp.where(now, discriminator[k] + 1, 0) for k, now in counts.items()
        }

    def warn(self, metrics: dict[str, float]) -> str | None:
        """Says that the discriminator has collapsed, once for each time that it does."""
        limit = self.options.collapse_steps
        if metrics["discriminator/won_in_a_row"] == limit:
            return (
                f"the discriminator has scored over 99% of all patches rightly for {limit} steps "
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
        clip, middle = batch["compressed"][:1], batch["compressed"].shape[1] // 2
        enhanced: Any = self.network.apply(variables, clip, side=side_of(batch).clip(0))
        return side_by_side(clip[0, middle], enhanced[0, middle], batch["raw"][0, middle])


def make_step(stage: Stage, network: Network, place: Place) -> Step:
    """The adversarial step of a stage.

    Args:
      stage: what to train and how; its ``losses`` are the generator's beside the adversarial one
        and feature matching, its ``options`` those of :class:`Options`.

    Returns:
      How to start a state, the jitted step, the warnings and the sample pictures.

    Raises:
      UserError: unknown losses or options, patterns that match nothing, missing weights.
    """
    trainer = Trainer(stage, network, place)
    weights = trainer.game.objective.load_weights(place)
    jitted = jit_step(trainer.step, place)
    sample: Callable[..., Any] = jax.jit(trainer.sample, out_shardings=place.replicated)
    return Step(
        trainer.init_state,
        lambda state, batch: jitted(state, batch, weights),
        warn=trainer.warn,
        sample=sample,
        sample_every=trainer.options.sample_every,
    )
