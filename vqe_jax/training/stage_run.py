"""One stage of a run: its steps, and what is due after a step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import jax

from vqe_jax.errors import UserError
from vqe_jax.training import starts, validation
from vqe_jax.training.assembly import assemble, same_optimizer
from vqe_jax.training.processes import from_primary
from vqe_jax.training.samples import write_sample
from vqe_jax.training.session import Session
from vqe_jax.training.state import TrainState, exported_variables
from vqe_jax.training.step_log import StepLog

__all__ = ["StageRun"]


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
        """Builds the network, its step, its state and its batches; changes no file.

        Args:
          previous: the state that the stage before ended with, if it ended just now.
        """
        self.session, self.index = session, index
        self.progress = session.progress
        plan = session.plan
        parts = assemble(plan, index)
        self.stage, self.network, self.step = parts.stage, parts.network, parts.step
        self.place = parts.place
        self.last = plan.first_step(index) + self.stage.steps
        self.feed = parts.open_feed()
        self.metric = (
            validation.find_metric(plan.eval.protocol, self.network) if plan.eval else None
        )
        self.log = StepLog(
            session.writer,
            self.stage.name,
            last=self.last,
            every=plan.log_every,
            max_skipped=plan.max_skipped,
            warn=self.step.warn,
        )
        self.state = self._first_state(previous) if arrays is None else self._restored(arrays)
        self.progress.enter(index)
        self.ahead: validation.Ahead | None = None

    def _first_state(self, previous: TrainState | None) -> TrainState:
        session, stage = self.session, self.stage
        averaged = stage.start_averaged and not stage.keep_optimizer
        variables = starts.start_variables(
            session.plan,
            self.index,
            self.network,
            workdir=session.workdir,
            previous=previous and exported_variables(previous, averaged=averaged),
        )
        state = self.step.init_state(variables)
        if previous is None:
            return state
        if stage.keep_optimizer:
            state = _keep(previous, state, stage.name)
        return state.replace(skipped=previous.skipped)

    def _restored(self, arrays: dict[str, Any]) -> TrainState:
        session, progress = self.session, self.progress
        first = session.plan.first_step(self.index)
        if not first <= progress.step <= self.last:
            raise UserError(
                f"{session.workdir} is at step {progress.step} of stage {self.stage.name!r}, which "
                f"now lies between steps {first} and {self.last}; use another --workdir"
            )
        fresh = starts.fresh_shapes(session.plan, self.index, self.network)
        template = jax.eval_shape(self.step.init_state, fresh)
        state = session.checkpoints.fill(template, arrays, self.place.replicated)
        if progress.step < self.last:
            self.feed.set_state(progress.data)
        return state

    def train(self) -> TrainState | None:
        """Takes the steps that are left; None if interrupted."""
        try:
            return self._train()
        finally:
            if self.ahead is not None:
                self.ahead.wait(lambda: True)

    def _train(self) -> TrainState | None:
        while True:
            if self._validation_is_due() and not self._validate():
                self._stop()
                return None
            if self.progress.step >= self.last:
                return self.state
            if self.session.interrupts.asked(self.progress.step):
                self._stop()
                return None
            self._take_a_step()

    def _take_a_step(self) -> None:
        session, progress = self.session, self.progress
        batch, names = self.feed.take()
        with jax.transfer_guard("disallow"):
            self.state, metrics = self.step.step_fn(self.state, batch)
        progress.step += 1
        self._sample(batch)
        if progress.step < self.last:
            self.feed.prefetch()
        self.log.push(progress.step, metrics, names)
        self._compile_ahead()
        if not self._due(session.plan.checkpoint.every):
            session.checkpoints.sign(wait=False)
            return
        self.log.flush()
        with self.log.paused():
            self._save()

    def _compile_ahead(self) -> None:
        """Validation's programs, from the first step on."""
        session = self.session
        if self.ahead is None and session.plan.eval is not None and session.primary:
            shapes = jax.eval_shape(exported_variables, self.state)
            self.ahead = validation.Ahead(self.network, shapes, session.clips, session.plan.eval)

    def _due(self, every: int) -> bool:
        number = self.progress.step
        return number == self.last or (every > 0 and number % every == 0)

    def _stop(self) -> None:
        self.log.flush()
        number = self.progress.step
        self.session.checkpoints.sign()
        if number not in self.session.checkpoints.steps():
            self._save()
        self.session.writer.say(f"stopped at step {number}; run it again to go on")

    def _sample(self, batch: dict[str, Any]) -> None:
        """Keeps a picture of what the network makes of a training crop."""
        number, every, session = self.progress.step, self.step.sample_every, self.session
        if self.step.sample is None or every <= 0 or number % every:
            return
        picture = jax.device_get(self.step.sample(self.state, batch))
        if session.primary:
            write_sample(session.workdir / "samples" / f"{number:08d}.png", picture)

    def _validation_is_due(self) -> bool:
        """Whether this step's validation is still to come; after a resume it may be."""
        plan, number = self.session.plan, self.progress.step
        if plan.eval is None or number == self.progress.validated:
            return False
        return number > plan.first_step(self.index) and self._due(plan.eval.every)

    def _validate(self) -> bool:
        """Looks for the best model; False if it was interrupted."""
        session, section = self.session, self.session.plan.eval
        assert section is not None
        self.log.flush()
        with self.log.paused():
            if self.ahead is not None:
                self.ahead.wait(lambda: session.interrupts.flagged)
            # What validation cannot spoil is on the disk before it begins.
            session.checkpoints.sign()
            variables = jax.device_get(exported_variables(self.state))
            gains = from_primary(
                lambda: validation.validate(
                    self.network,
                    variables,
                    session.clips,
                    section,
                    self.metric,
                    stop=lambda: session.interrupts.flagged,
                )
            )
            if gains is None:
                return False
            self._choose(gains, variables)
            session.checkpoints.note(self.progress)
        return True

    def _choose(self, gains: validation.Gains, variables: Any) -> None:
        session, progress = self.session, self.progress
        better = gains.score > (-math.inf if progress.best_score is None else progress.best_score)
        record = {
            f"{gains.key}_mean": gains.mean,
            f"{gains.key}_worst": gains.worst,
            "worst_clip": gains.worst_clip,
            "score": gains.score,
            "by_clip": gains.by_clip,
        }
        note = ", best so far" if better else ""
        session.writer.validation(progress.step, self.stage.name, record, key=gains.key, note=note)
        progress.validated = progress.step
        if better:
            progress.best_score, progress.best_step = gains.score, progress.step
            self._export(session.workdir / "best.safetensors", variables, record)

    def _save(self) -> None:
        session, progress = self.session, self.progress
        progress.data = self.feed.get_state()
        session.checkpoints.save(self.state, progress)
        variables = jax.device_get(exported_variables(self.state))
        self._export(session.workdir / "last.safetensors", variables, {})
        if progress.step == self.last:
            self._export(starts.stage_file(session.workdir, self.stage), variables, {})

    def _export(self, path: Path, variables: Any, record: dict[str, Any]) -> None:
        session = self.session
        if session.primary:
            extra = {"config": session.config, "validation": record}
            starts.export(
                path, session.plan, self.stage, variables, step=self.progress.step, extra=extra
            )


def _keep(previous: TrainState, fresh: TrainState, name: str) -> TrainState:
    """The previous stage's optimizer state and average, where they fit."""
    same_optimizer(previous, fresh, name)
    return fresh.replace(
        opt_state=previous.opt_state,
        ema=previous.ema if fresh.ema is not None and previous.ema is not None else fresh.ema,
        auxiliary=previous.auxiliary,
    )
