"""The one pytree that a training step carries."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

__all__ = ["TrainState", "exported_variables", "new_state"]


class TrainState(struct.PyTreeNode):
    """Everything that changes while training; a checkpoint holds it whole.

    The fields are not annotated as arrays: JAX also makes such trees of shardings and masks.

    Attributes:
      step: number of the next step, counted over all stages.
      stats: its other variables (``batch_stats``), by collection.
      ema: averaged parameters, or None.
      skipped: steps of the run that were skipped because they were not finite.
      skipped_in_a_row: those just before the next step.
      auxiliary: what another kind of step keeps (a discriminator and its optimizer).
    """

    step: Any
    params: Any
    stats: Any
    ema: Any
    opt_state: Any
    skipped: Any
    skipped_in_a_row: Any
    auxiliary: Any = None


def new_state(
    variables: Any, opt_state: Any, *, step: int, averaged: bool, auxiliary: Any = None
) -> TrainState:
    """A state at the start of a stage.

    Args:
      variables: ``{"params": ..., "batch_stats": ...}``.
      step: global number of the stage's first step.
      averaged: keep averaged parameters, which start as the parameters.
    """
    # The step donates its state: no two leaves may share a buffer, nor any with the caller.
    params = jax.tree.map(jnp.copy, variables["params"])
    stats = {k: v for k, v in variables.items() if k != "params"}
    return TrainState(
        step=jnp.asarray(step, jnp.int32),
        params=params,
        stats=jax.tree.map(jnp.copy, stats),
        ema=jax.tree.map(jnp.copy, params) if averaged else None,
        opt_state=opt_state,
        skipped=jnp.zeros((), jnp.int32),
        skipped_in_a_row=jnp.zeros((), jnp.int32),
        auxiliary=auxiliary,
    )


def exported_variables(state: TrainState, *, averaged: bool = True) -> dict[str, Any]:
    """The variables to validate and publish: averaged parameters where there are any."""
    params = state.ema if averaged and state.ema is not None else state.params
    return {"params": params, **state.stats}
