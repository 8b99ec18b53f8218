"""From gradients to the next state: what is held, one update, its average, and steps to skip.

A step whose loss, gradient or result is not finite leaves the state as it was and is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from vqe_jax.training.optimizer import rates
from vqe_jax.training.stages import Rate, Stage
from vqe_jax.training.state import TrainState, new_state
from vqe_jax.training.step import Metrics, Place

__all__ = ["average", "begin", "descend", "finish", "without_frozen"]


def begin(
    stage: Stage,
    optimizer: optax.GradientTransformation,
    place: Place,
    variables: Any,
    auxiliary: Callable[[], Any] = lambda: None,
) -> TrainState:
    """The state at the start of a stage, on all devices.

    Args:
      auxiliary: makes what else the kind of step keeps.

    Raises:
      UserError: a pattern of ``rates`` that matches nothing.
    """
    rates(stage, variables["params"])

    def make(variables: Any) -> TrainState:
        opt_state = optimizer.init(variables["params"])
        return new_state(
            variables,
            opt_state,
            step=place.first_step,
            averaged=stage.ema > 0,
            auxiliary=auxiliary(),
        )

    # One program in place of one an array.
    return jax.jit(make, out_shardings=place.replicated)(variables)


def average(ema: Any, params: Any, decay: float, age: Array) -> Any:
    """Moves averaged parameters towards the parameters; the first steps move them faster."""
    n = age.astype(jnp.float32)
    d = jnp.minimum(decay, (1 + n) / (10 + n))
    return jax.tree.map(lambda e, p: e * d + p * (1 - d), ema, params)


def without_frozen(stage: Stage, params: Any) -> Any:
    """The parameters, cut off where the stage never trains them: XLA computes no gradient there."""

    def cut(param: Array, rate: Rate) -> Array:
        return param if rate.factor else jax.lax.stop_gradient(param)

    return jax.tree.map(cut, params, rates(stage, params))


def descend(
    stage: Stage,
    optimizer: optax.GradientTransformationExtraArgs,
    rate: Float[Array, ""],
    state: TrainState,
    grads: Any,
    stage_step: Array,
) -> tuple[TrainState, Metrics, Bool[Array, ""]]:
    """One update of the network's parameters and of their average.

    Args:
      optimizer: of :func:`build_optimizer`.

    Returns:
      The new state, the norms for the log, and whether they are finite.
    """
    own = rates(stage, state.params)

    def due(grad: Array, one: Rate) -> Array:
        return jnp.where(stage_step >= one.start, grad, 0) if one.start else grad

    grads = jax.tree.map(due, grads, own)
    updates, opt_state = optimizer.update(
        grads, state.opt_state, state.params, stage_step=stage_step
    )
    params = jax.tree.map(lambda p, u, one: p + (rate * one.factor) * u, state.params, updates, own)
    # A stage that goes on with its predecessor's average does not warm it up again.
    age = state.step if stage.keep_optimizer else stage_step
    ema = None if state.ema is None else average(state.ema, params, stage.ema, age)
    grad_norm, param_norm = optax.tree.norm(grads), optax.tree.norm(params)
    norms = {"learning_rate": rate, "grad_norm": grad_norm, "param_norm": param_norm}
    finite = jnp.isfinite(grad_norm) & jnp.isfinite(param_norm)
    return state.replace(params=params, ema=ema, opt_state=opt_state), norms, finite


def finish(
    ok: Bool[Array, ""], new: TrainState, old: TrainState, metrics: Metrics
) -> tuple[TrainState, Metrics]:
    """Takes a step or skips it, counts either, and adds the counters to the metrics.

    Args:
      new: the state after the step, with the old counters.
    """
    state = jax.tree.map(lambda n, o: jnp.where(ok, n, o), new, old)
    in_a_row = jnp.where(ok, 0, old.skipped_in_a_row + 1)
    state = state.replace(
        step=old.step + 1,
        skipped=old.skipped + (1 - ok.astype(jnp.int32)),
        skipped_in_a_row=in_a_row,
    )
    return state, metrics | {"skipped": state.skipped, "skipped_in_a_row": in_a_row}
