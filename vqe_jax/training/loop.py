"""The training loop: one for every network, every kind of step and every number of devices.

A run is its stages one after the other. Each step is a function of (seed, step) alone, so that a
run which was stopped, killed or moved goes on as if nothing had happened.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from vqe_jax.data.augment import random_symmetries
from vqe_jax.errors import UserError
from vqe_jax.training import inits, kinds, starts, step, validation
from vqe_jax.training.checkpoints import Checkpoints, Progress
from vqe_jax.training.feed import Feed, data_config
from vqe_jax.training.interrupts import Interrupts
from vqe_jax.training.meter import Meter
from vqe_jax.training.metrics_writer import MetricsWriter
from vqe_jax.training.processes import barrier, is_primary
from vqe_jax.training.samples import write_sample
from vqe_jax.training.stages import Run, changes, parse, plain
from vqe_jax.training.state import TrainState, exported_variables

__all__ = ["Outcome", "run"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      finished: all stages are done; False after an interrupt.
      step: steps taken.
      best_score: of the last stage's best validation.
      exit_code: for the shell.
    """

    finished: bool
    step: int
    best_score: float | None
    exit_code: int = 0


def run(
    config: Run | ConfigDict | Mapping[str, Any],
    workdir: str | os.PathLike[str],
    *,
    output: io.TextIOBase | None = None,
) -> Outcome:
    """Trains, or goes on training where ``workdir`` stopped.

    Args:
      config: see :class:`vqe_jax.training.stages.Run`.
      workdir: gets ``config.json``, ``metrics.jsonl``, ``checkpoints/``, ``stages/`` and the model
        files ``best.safetensors`` (of the last stage, by validation) and ``last.safetensors``.
      output: in place of the standard output.

    Returns:
      How it ended.

    Raises:
      UserError: a mistake in the config, or too many steps without a finite gradient.
    """
    plan = parse(config)
    _check(plan)
    folder = Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    if plan.eval is not None:
        settings = dataclasses.asdict(data_config(plan.data, {}, "config.data"))
        clips = validation.open_clips(plan.eval, settings)
    say = functools.partial(print, file=output) if is_primary() else (lambda _: None)
    checkpoints = Checkpoints(folder / "checkpoints", keep=plan.checkpoint.keep, say=say)
    found = checkpoints.newest()
    total = plan.first_step(len(plan.stages))
    first = found[0].step if found else 0
    with (
        MetricsWriter(
            folder, first_step=first, total_steps=total, tensorboard=plan.tensorboard,
            silent=not is_primary(), output=output,
        ) as writer,
        Interrupts() as interrupts,
    ):  # fmt: skip
        session = Session(plan, folder, clips, checkpoints, writer, interrupts)
        try:
            return session.train(found)
        finally:
            checkpoints.close()


def _check(plan: Run) -> None:
    """Finds what can be found before the first step of the first stage."""
    for index, stage in enumerate(plan.stages):
        network = starts.build_network(plan, stage)
        kinds.get(stage.kind)
        inits.check(stage.init, f"config.stages[{index}].init")
        data = data_config(plan.data, stage.data, f"config.data (stage {index}, {stage.name!r})")
        channels = getattr(network, "channels", 1)
        if channels != (3 if data.color == "rgb" else 1):
            raise UserError(
                f"stage {stage.name!r}: model {plan.model!r} has channels={channels}, but "
                f"data.color={data.color!r}"
            )


class Session:
    """A run under way."""

    def __init__(
        self,
        plan: Run,
        workdir: Path,
        clips: list[Any],
        checkpoints: Checkpoints,
        writer: MetricsWriter,
        interrupts: Interrupts,
    ) -> None:
        """Keeps what the stages share."""
        self.plan, self.workdir = plan, workdir
        self.clips, self.checkpoints = clips, checkpoints
        self.writer, self.interrupts = writer, interrupts
        self.primary = is_primary()
        self.progress = Progress(
            step=0, stage=0, data="", hosts=jax.process_count(), config=plain(plan)
        )  # fmt: skip

    def train(self, found: tuple[Progress, dict[str, Any]] | None) -> Outcome:
        """Runs the stages that are left."""
        state: TrainState | None = None
        if found is not None:
            self._take_up(found[0])
        self._write_config()
        for index in range(self.progress.stage, len(self.plan.stages)):
            stage = StageRun(self, index, state, arrays=found[1] if found else None)
            found = None
            state = stage.train()
            if state is None:
                return self._outcome(finished=False)
        self.writer.say(f"finished after {self.progress.step} steps: {self.workdir}")
        return self._outcome(finished=True)

    def _outcome(self, *, finished: bool) -> Outcome:
        code = 0 if finished else self.interrupts.exit_code
        return Outcome(finished, self.progress.step, self.progress.best_score, code)

    def _take_up(self, progress: Progress) -> None:
        if progress.stage >= len(self.plan.stages):
            raise UserError(
                f"{self.workdir} is in stage {progress.stage + 1}, the config has "
                f"{len(self.plan.stages)}; use another --workdir"
            )
        self.writer.say(f"resuming {self.workdir} at step {progress.step}")
        if progress.hosts != jax.process_count():
            self.writer.say(
                f"the run had {progress.hosts} processes and now has {jax.process_count()}: "
                "its batches stay the same, sums over them are rounded otherwise"
            )
        changed = changes(progress.config, self.plan)
        if changed:
            self.writer.say(f"the config has changed and is followed: {', '.join(changed)}")
        self.progress = dataclasses.replace(
            progress, hosts=jax.process_count(), config=plain(self.plan)
        )

    def _write_config(self) -> None:
        if self.primary:
            part = self.workdir / "config.json.part"
            part.write_text(json.dumps(plain(self.plan), indent=2) + "\n")
            os.replace(part, self.workdir / "config.json")


class StageRun:
    """One stage under way."""

    def __init__(
        self,
        session: Session,
        index: int,
        previous: TrainState | None,
        *,
        arrays: dict[str, Any] | None = None,
    ) -> None:
        """Builds the network, its step, its state and its batches.

        Args:
          session: the run.
          index: of the stage.
          previous: the state that the stage before ended with, if it ended just now.
          arrays: of a checkpoint of this stage, to go on from.
        """
        self.session, self.index = session, index
        plan = session.plan
        self.stage = plan.stages[index]
        self.network = starts.build_network(plan, self.stage)
        first = plan.first_step(index)
        self.last = first + self.stage.steps
        data = data_config(plan.data, self.stage.data, "config.data")
        augment = functools.partial(random_symmetries, allowed=data.symmetries)
        place = step.make_place(plan.devices, first_step=first, seed=plan.seed, augment=augment)
        self.step = kinds.get(self.stage.kind)(self.stage, self.network, place)
        self.feed = Feed(
            data, seed=plan.seed, start=first, sharding=place.split,
            check_qp=self.network.check_qp,
        )  # fmt: skip
        self.judge = validation.find_judge(plan.eval.protocol, self.network) if plan.eval else None
        self.meter = Meter()
        self._skips: list[str] = []
        self.state = self._first_state(previous) if arrays is None else self._restored(arrays)
        if session.progress.stage != index:
            session.progress = dataclasses.replace(
                session.progress, stage=index, best_score=None, best_step=0
            )  # fmt: skip

    def _first_state(self, previous: TrainState | None) -> TrainState:
        session, stage = self.session, self.stage
        averaged = stage.start_averaged and not stage.keep_optimizer
        variables = starts.start_variables(
            session.plan, self.index, self.network, workdir=session.workdir,
            previous=previous and exported_variables(previous, averaged=averaged),
        )  # fmt: skip
        state = self.step.init_state(variables)
        if previous is None:
            return state
        if stage.keep_optimizer:
            state = _keep(previous, state, stage.name)
        return state.replace(skipped=previous.skipped)

    def _restored(self, arrays: dict[str, Any]) -> TrainState:
        session = self.session
        fresh = starts.fresh_variables(session.plan, self.index, self.network)
        state = session.checkpoints.fill(self.step.init_state(fresh), arrays)
        if session.progress.step < self.last:
            self.feed.set_state(session.progress.data)
        return state

    def train(self) -> TrainState | None:
        """Takes the steps that are left; None if interrupted."""
        session, progress = self.session, self.session.progress
        plan = session.plan
        late: tuple[int, Any, list[str]] | None = None
        while progress.step < self.last:
            if session.interrupts.asked(progress.step):
                self._read(late)
                self._save()
                session.writer.say(f"stopped at step {progress.step}; run it again to go on")
                return None
            batch, names = self.feed.take()
            with jax.transfer_guard("disallow"):
                self.state, metrics = self.step.step_fn(self.state, batch)
            progress.step += 1
            self._sample(batch)
            ready, late = late, (progress.step, metrics, names)
            done = progress.step == self.last
            every = plan.eval.every if plan.eval else 0
            validates = bool(session.clips) and (done or _due(progress.step, every))
            saves = done or _due(progress.step, plan.checkpoint.every)
            if progress.step < self.last:
                self.feed.prefetch()
            self._read(ready)  # of the step before, while this one is under way
            if not (validates or saves):
                session.checkpoints.sign(wait=False)
                continue
            self._read(late)
            late = None
            self.meter.pause()
            if validates:
                self._validate()
            if saves:
                self._save()
            self.meter.go_on()
        return self.state

    def _read(self, late: tuple[int, Any, list[str]] | None) -> None:
        """Takes in a step's metrics; stops the run when too many were not finite."""
        if late is None:
            return
        number, metrics, names = late
        values = {k: float(v) for k, v in jax.device_get(metrics).items()}
        finite = not values["skipped_in_a_row"]
        self.meter.add(values, finite=finite)
        self._skips = [] if finite else [*self._skips, _batch_name(number - 1, names)]
        plan, writer = self.session.plan, self.session.writer
        if warning := self.step.warn(values):
            writer.say(f"step {number}: {warning}")
        if not finite:
            writer.say(f"loss or gradient not finite, skipped {self._skips[-1]}")
        if len(self._skips) >= plan.max_skipped:
            raise UserError(
                f"{len(self._skips)} steps in a row were not finite, the last with "
                f"{self._skips[-1]}, the first with {self._skips[0]}; look at these clips, lower "
                "the learning rate or set optimizer.clip_norm"
            )
        if number % plan.log_every == 0 or number == self.last:
            writer.train(number, self.stage.name, self.meter.collect())
        else:
            writer.advance(number, self.stage.name)

    def _sample(self, batch: dict[str, Any]) -> None:
        """Keeps a picture of what the network makes of a training crop."""
        number, session = self.session.progress.step, self.session
        if self.step.sample is None or not _due(number, self.step.sample_every):
            return
        picture = jax.device_get(self.step.sample(self.state, batch))
        if session.primary:
            write_sample(session.workdir / "samples" / f"{number:08d}.png", picture)

    def _validate(self) -> None:
        session = self.session
        assert session.plan.eval is not None
        if session.primary:
            variables = jax.device_get(exported_variables(self.state))
            gains = validation.validate(
                self.network, variables, session.clips, session.plan.eval, self.judge
            )
            self._judge(gains, variables)
        barrier(f"validated {session.progress.step}")

    def _judge(self, gains: validation.Gains, variables: Any) -> None:
        session, progress = self.session, self.session.progress
        better = gains.score > (-math.inf if progress.best_score is None else progress.best_score)
        record = {
            f"{gains.key}_mean": gains.mean,
            f"{gains.key}_worst": gains.worst,
            "worst_clip": gains.worst_clip,
            "score": gains.score,
            "by_clip": gains.by_clip,
        }
        note = ", best so far" if better else ""
        session.writer.validation(
            progress.step, self.stage.name, record, key=gains.key, note=note
        )  # fmt: skip
        if better:
            progress.best_score, progress.best_step = gains.score, progress.step
            self._export(session.workdir / "best.safetensors", variables, record)

    def _save(self) -> None:
        session, progress = self.session, self.session.progress
        progress.data = self.feed.get_state()
        if session.primary:
            variables = jax.device_get(exported_variables(self.state))
            self._export(session.workdir / "last.safetensors", variables, {})
            if progress.step == self.last:
                self._export(starts.stage_file(session.workdir, self.stage), variables, {})
        session.checkpoints.save(self.state, progress)

    def _export(self, path: Path, variables: Any, record: dict[str, Any]) -> None:
        session = self.session
        extra = {"config": plain(session.plan), "validation": record}
        starts.export(
            path, session.plan, self.stage, variables, step=session.progress.step, extra=extra
        )


def _keep(previous: TrainState, fresh: TrainState, name: str) -> TrainState:
    """The previous stage's optimiser state and average, where they fit."""
    there, here = (str(jax.tree.structure(s.opt_state)) for s in (previous, fresh))
    if there != here:
        raise UserError(
            f"stage {name!r}: keep_optimizer, but its optimizer or its frozen parameters are not "
            "those of the previous stage"
        )
    return fresh.replace(
        opt_state=previous.opt_state,
        ema=previous.ema if fresh.ema is not None and previous.ema is not None else fresh.ema,
        auxiliary=previous.auxiliary,
    )


def _due(number: int, every: int) -> bool:
    return every > 0 and number % every == 0


def _batch_name(number: int, names: list[str]) -> str:
    clips = list(dict.fromkeys(names))
    more = f" and {len(clips) - 4} more" if len(clips) > 4 else ""
    return f"batch {number}" + (f" ({', '.join(clips[:4])}{more})" if clips else "")
