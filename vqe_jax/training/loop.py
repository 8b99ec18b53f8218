"""The training loop: one for every network, every kind of step and every number of devices.

A run is its stages one after the other. Each step is a function of (seed, step) alone, so that a
run which was stopped, killed or moved goes on as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vqe_jax.errors import user_errors
from vqe_jax.files import alone
from vqe_jax.programs import Count, counted
from vqe_jax.training.checkpoints import Checkpoints
from vqe_jax.training.interrupts import Interrupts
from vqe_jax.training.manifest import Progress
from vqe_jax.training.metrics_writer import MetricsWriter
from vqe_jax.training.preflight import check, rehearse
from vqe_jax.training.processes import from_primary, is_primary
from vqe_jax.training.session import Session
from vqe_jax.training.stage_run import StageRun
from vqe_jax.training.stages import Run, parse
from vqe_jax.training.state import TrainState

__all__ = ["Outcome", "run"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      finished: all stages are done; False after an interrupt.
      best_score: of the last stage's best validation.
    """

    finished: bool
    step: int
    best_score: float | None
    exit_code: int = 0
    programs: Count = dataclasses.field(default_factory=Count, compare=False)


def run(
    config: Run | ConfigDict | Mapping[str, Any],
    workdir: str | os.PathLike[str],
    *,
    quiet: bool = False,
    output: io.TextIOBase | None = None,
) -> Outcome:
    """Trains, or goes on training where ``workdir`` stopped.

    Args:
      config: see :class:`vqe_jax.training.stages.Run`.
      workdir: gets ``config.json``, ``metrics.jsonl``, ``checkpoints/``, ``stages/`` and the model
        files ``best.safetensors`` (of the last stage, by validation) and ``last.safetensors``.
        Nothing in it changes before it is sure that the run can begin.

    Returns:
      How it ended.

    Raises:
      UserError: a mistake in the config, a work directory in use, checkpoints none of which can be
        read, or too many steps without a finite gradient.
      EnvironmentFailure: a full disk, a folder that cannot be written.
    """
    plan = parse(config)
    folder = Path(workdir)
    with user_errors(str(folder)):
        clips = check(plan)
        writer = MetricsWriter(
            folder,
            total_steps=plan.first_step(len(plan.stages)),
            tensorboard=plan.tensorboard,
            silent=not is_primary(),
            quiet=quiet,
            output=output,
        )
        with _own(folder), writer, Interrupts(writer.say) as interrupts, counted() as count:
            checkpoints = Checkpoints(
                folder / "checkpoints", keep=plan.checkpoint.keep, say=writer.say
            )
            found = checkpoints.newest()
            next_stage = found[0].stage if found else 0
            rehearse(plan, folder, first=next_stage, resumed=found is not None)
            session = Session(plan, folder, clips, checkpoints, writer, interrupts)
            try:
                outcome = _train(session, found)
            finally:
                checkpoints.close()
            writer.say(str(count))
            return dataclasses.replace(outcome, programs=count)


@contextlib.contextmanager
def _own(folder: Path) -> Iterator[None]:
    """A work directory for this run alone; one that was made for nothing is removed again."""
    with contextlib.ExitStack() as stack:
        made = from_primary(lambda: _enter(folder, stack))
        try:
            yield
        finally:
            if made and is_primary():
                with contextlib.suppress(OSError):
                    folder.rmdir()  # only if it is still empty


def _enter(folder: Path, stack: contextlib.ExitStack) -> bool:
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    refusal = f"{folder} is in use by another run; wait for it, or use another --workdir"
    stack.enter_context(alone(folder, refusal))
    return made


def _train(session: Session, found: tuple[Progress, dict[str, Any]] | None) -> Outcome:
    """Runs the stages that are left."""
    state: TrainState | None = None
    if found is not None:
        session.take_up(found[0])
    for index in range(session.progress.stage, len(session.plan.stages)):
        stage = StageRun(session, index, state, arrays=found[1] if found else None)
        session.begin()
        found = None
        state = stage.train()
        if state is None:
            break
    else:
        session.say_the_end()
    progress, finished = session.progress, state is not None
    code = 0 if finished else session.interrupts.exit_code
    return Outcome(finished, progress.step, progress.best_score, code)
