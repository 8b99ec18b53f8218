"""What the stages of a run share, and the one owner of the run's progress."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax

from vqe_jax.errors import UserError
from vqe_jax.files import replacing, sweep
from vqe_jax.training.checkpoints import Checkpoints
from vqe_jax.training.interrupts import Interrupts
from vqe_jax.training.manifest import Progress
from vqe_jax.training.metrics_writer import MetricsWriter
from vqe_jax.training.processes import is_primary
from vqe_jax.training.stages import Run, changes, plain

__all__ = ["Session"]


class Session:
    """A run under way, and the one owner of its progress."""

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
        self.config = plain(plan)
        self.clips, self.checkpoints = clips, checkpoints
        self.writer, self.interrupts = writer, interrupts
        self.primary = is_primary()
        self.progress = Progress(
            step=0, stage=0, data="", hosts=jax.process_count(), config=self.config
        )
        self._begun = False
        self._earlier: Progress | None = None

    def take_up(self, progress: Progress) -> None:
        """Goes on where a checkpoint stopped.

        Raises:
          UserError: the config has fewer stages.
        """
        if progress.stage >= len(self.plan.stages):
            raise UserError(
                f"{self.workdir} is in stage {progress.stage + 1}, the config has "
                f"{len(self.plan.stages)}; use another --workdir"
            )
        self._earlier = progress
        self.progress = dataclasses.replace(progress, hosts=jax.process_count(), config=self.config)

    def begin(self) -> None:
        """The first change of any file: all that can refuse this start has been asked."""
        if self._begun:
            return
        self._begun = True
        if self._earlier is not None:
            self._say_what_is_taken_up()
        else:
            self._say_what_is_to_come()
        if self.primary:
            for folder in (self.workdir, self.workdir / "stages", self.workdir / "samples"):
                sweep(folder)
        self.checkpoints.begin()
        self.writer.begin(self.progress.step, self.progress.validated)
        if self.primary:
            with replacing(self.workdir / "config.json") as part:
                part.write_text(json.dumps(self.config, indent=2) + "\n")

    def _say_what_is_to_come(self) -> None:
        plan, stages = self.plan, ", ".join(f"{s.name} {s.steps}" for s in self.plan.stages)
        devices = plan.devices or jax.device_count()
        self.writer.say(
            f"training {plan.model!r} for {plan.first_step(len(plan.stages))} steps ({stages}) on "
            f"{devices} {jax.default_backend()} device{'s' if devices > 1 else ''}; "
            "the first step compiles"
        )

    def _say_what_is_taken_up(self) -> None:
        before, say = self._earlier, self.writer.say
        assert before is not None
        say(f"resuming {self.workdir} at step {before.step}")
        if before.hosts != jax.process_count():
            say(
                f"the run had {before.hosts} processes and now has {jax.process_count()}: "
                "its batches stay the same, sums over them are rounded otherwise"
            )
        changed = changes(before.config, self.plan)
        if changed:
            say(f"the config has changed and is followed: {', '.join(changed)}")

    def say_the_end(self) -> None:
        """Says where the model is and how to use it."""
        self.writer.say(f"finished after {self.progress.step} steps: {self.workdir}")
        best, last = (self.workdir / f"{name}.safetensors" for name in ("best", "last"))
        model = best if best.is_file() else last
        self.writer.say(f"enhance a video with it: python enhance.py IN OUT --model {model}")
