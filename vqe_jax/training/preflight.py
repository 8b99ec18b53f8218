"""What can be found out before the first step of the first stage, of every stage.

A mistake in the second stage must not come to light after days of the first. So every stage is
built as it will be, on shapes alone: network, losses, optimiser, patterns, start, data.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax

from vqe_jax.errors import UserError
from vqe_jax.training import inits, kinds, starts, validation
from vqe_jax.training.feed import data_config
from vqe_jax.training.stages import Run
from vqe_jax.training.state import TrainState

__all__ = ["check", "same_optimizer"]


def check(plan: Run, workdir: Path) -> list[Any]:
    """Checks a run; changes no file.

    Args:
      plan: the run.
      workdir: where it is kept.

    Returns:
      The validation clips.

    Raises:
      UserError: anything that would stop a stage before its first step.
    """
    if plan.checkpoint.keep < 1:
        raise UserError(f"config.checkpoint.keep={plan.checkpoint.keep} must be at least 1")
    for index, stage in enumerate(plan.stages):
        network = starts.build_network(plan, stage)
        kinds.get(stage.kind)
        inits.check(stage.init, f"config.stages[{index}].init")
        data = data_config(plan.data, stage.data, f"config.data (stage {index}, {stage.name!r})")
        channels = network.channels
        if channels != (3 if data.color == "rgb" else 1):
            raise UserError(
                f"stage {stage.name!r}: model {plan.model!r} has channels={channels}, but "
                f"data.color={data.color!r}"
            )
    if plan.eval is None:
        return []
    settings = dataclasses.asdict(data_config(plan.data, {}, "config.data"))
    return validation.open_clips(plan.eval, settings)


def same_optimizer(previous: TrainState, fresh: TrainState, name: str) -> None:
    """Refuses to keep an optimiser's state that is not what the stage's optimiser makes.

    Raises:
      UserError: names the stage.
    """
    there, here = (str(jax.tree.structure(s.opt_state)) for s in (previous, fresh))
    if there != here:
        raise UserError(
            f"stage {name!r}: keep_optimizer, but its optimizer or its frozen parameters are not "
            "those of the previous stage"
        )
