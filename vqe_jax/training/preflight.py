"""What can be found out before the first step of the first stage, of every stage.

A mistake in the second stage must not come to light after days of the first. So every stage that is
still to come is built as it will be, and begun on shapes alone: network, losses, optimizer,
patterns, start, data.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax

from vqe_jax.data.pair import Pair
from vqe_jax.training import inits, kinds, starts, validation
from vqe_jax.training.assembly import Assembly, assemble, same_optimizer
from vqe_jax.training.feed import data_config
from vqe_jax.training.stages import Run
from vqe_jax.training.state import TrainState, exported_variables

__all__ = ["check", "rehearse"]


def check(plan: Run) -> list[Pair]:
    """Checks what needs no work directory.

    Returns:
      The validation clips.

    Raises:
      UserError: names and settings that do not exist or do not fit together.
    """
    for index, stage in enumerate(plan.stages):
        starts.build_network(plan, stage)
        kinds.get(stage.kind)
        inits.check(stage.init, f"config.stages[{index}].init")
        data_config(plan.data, stage.data, f"config.data (stage {index}, {stage.name!r})")
    if plan.eval is None:
        return []
    settings = dataclasses.asdict(data_config(plan.data, {}, "config.data"))
    return validation.open_clips(plan.eval, settings)


def rehearse(plan: Run, workdir: Path, *, first: int, resumed: bool) -> None:
    """Begins every stage that is to come, on shapes alone; changes no file.

    Args:
      workdir: where earlier stages left their models.
      resumed: that stage goes on from a checkpoint and not from its start.

    Raises:
      UserError: what would stop a later stage when it begins.
    """
    if first + 1 >= len(plan.stages):
        return  # the only stage that is left begins now, and says it itself
    states: dict[str, TrainState] = {}
    for index in range(first, len(plan.stages)):
        parts = assemble(plan, index)
        if index > first and plan.eval is not None:
            validation.find_metric(plan.eval.protocol, parts.network)
        start = starts.fresh_shapes(plan, index, parts.network)
        if index > first or not resumed:
            start = _start(plan, index, parts, workdir, states, start)
        state = jax.eval_shape(parts.step.init_state, start)
        if index > first:
            _trace_a_step(parts, state)
        if parts.stage.keep_optimizer and index > first:
            same_optimizer(states[plan.stages[index - 1].name], state, parts.stage.name)
        states[parts.stage.name] = state


def _trace_a_step(parts: Assembly, state: TrainState) -> None:
    """What a loss, a discriminator or the network says against the stage's batches is said now."""
    batch, _ = parts.open_feed().take()
    jax.eval_shape(parts.step.step_fn, state, batch)


def _start(
    plan: Run,
    index: int,
    parts: Assembly,
    workdir: Path,
    states: dict[str, TrainState],
    fresh: Any,
) -> Any:
    """Shapes of the variables that a stage begins with, after those before it."""
    stage, previous = parts.stage, None
    source = plan.stages[index - 1].name if stage.start == "previous" else stage.start
    if source in states:
        # Its file is not there yet, but it will hold what the stage ends with.
        averaged = stage.start_averaged and not stage.keep_optimizer
        previous = exported_variables(states[source], averaged=averaged)
        stages = [
            dataclasses.replace(s, start="previous") if s is stage else s for s in plan.stages
        ]
        plan = dataclasses.replace(plan, stages=tuple(stages))

    def begin(fresh: Any, previous: Any) -> Any:
        return starts.start_variables(
            plan, index, parts.network, workdir=workdir, previous=previous, fresh=fresh
        )

    return jax.eval_shape(begin, fresh, previous)
