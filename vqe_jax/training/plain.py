"""The plain training step: one network, its losses, one optimizer; jitted over all devices."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from vqe_jax.errors import UserError
from vqe_jax.models import Network
from vqe_jax.training import corruption
from vqe_jax.training.forward import apply_network, prepare, whole_windows
from vqe_jax.training.objective import build_objective
from vqe_jax.training.optimizer import build_optimizer, build_schedule
from vqe_jax.training.stages import Stage
from vqe_jax.training.state import TrainState
from vqe_jax.training.step import Metrics, Place, Step, jit_step
from vqe_jax.training.update import begin, descend, finish, without_frozen

__all__ = ["make_step"]


def make_step(stage: Stage, network: Network, place: Place) -> Step:
    """The plain step of a stage.

    Returns:
      How to start a state, and the jitted step.

    Raises:
      UserError: unknown losses, patterns that match nothing, options that contradict each other.
    """
    if stage.options:
        names = ", ".join(stage.options)
        raise UserError(f"stage {stage.name!r}: a plain step has no options, got {names}")
    optimizer, schedule = build_optimizer(stage), build_schedule(stage)
    corrupt, objective = corruption.build(stage.corruption), build_objective(stage)
    objective.check(network, f"stage {stage.name!r}")

    def init_state(variables: Any) -> TrainState:
        return begin(stage, optimizer, place, variables)

    def step_fn(
        state: TrainState, batch: corruption.Batch, weights: Any
    ) -> tuple[TrainState, Metrics]:
        batch, (dropout_key,) = prepare(state, batch, place, corrupt, keys=2)
        stage_step = state.step - place.first_step
        method, compared = whole_windows(network, batch)

        def loss_fn(params: Any) -> tuple[Array, Any]:
            variables = {"params": without_frozen(stage, params), **state.stats}
            result = apply_network(
                network, variables, batch, dropout_key, method, outputs=objective.outputs
            )
            loss, values = objective(result.outputs, compared, weights, stage_step)
            return loss, (result.stats, values | result.sown)

        (loss, (stats, values)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        rate = schedule(stage_step)
        new, norms, finite = descend(stage, optimizer, rate, state, grads, stage_step)
        new = new.replace(stats={**state.stats, **stats})
        return finish(finite & jnp.isfinite(loss), new, state, {"loss": loss, **norms, **values})

    weights = objective.load_weights(place)
    jitted = jit_step(step_fn, place)
    return Step(init_state, lambda state, batch: jitted(state, batch, weights))
