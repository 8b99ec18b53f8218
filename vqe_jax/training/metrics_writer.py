"""Where metrics go: the terminal, ``metrics.jsonl`` and, where asked, TensorBoard."""

from __future__ import annotations

import io
import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console

from vqe_jax.errors import UserError, unbreakable
from vqe_jax.files import replacing
from vqe_jax.terminal import progress_bar

__all__ = ["MetricsWriter", "duration"]

_SHORT = {"learning_rate": "lr", "grad_norm": "|grad|", "steps_per_second": "steps/s"}
_SHOWN = ("loss", "learning_rate", "grad_norm", "state_norm", "steps_per_second")


def duration(seconds: float) -> str:
    """A length of time as people say it.

    Example:
      >>> duration(7.4), duration(450.0), duration(2e5), duration(3e6)
      ('7 s', '0:07:30', '2 days 7 h', '34 days 17 h')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, rest = divmod(round(seconds), 3600)
    if hours < 24:
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{hours // 24} day{'s' if hours >= 48 else ''} {hours % 24} h"


class MetricsWriter:
    """Writes one line of JSON a record, ``{"step": n, "kind": "train"|"validation", ...}``.

    On a terminal a progress bar with the time left stays below the lines. Lines can be printed from
    the start; the files are opened by :meth:`begin`, once it is sure that the run can go on.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        total_steps: int,
        tensorboard: bool = False,
        silent: bool = False,
        quiet: bool = False,
        output: io.TextIOBase | None = None,
    ) -> None:
        """Changes no file.

        Args:
          tensorboard: write TensorBoard files too.
          silent: write nothing anywhere (all processes of a run but one).

        Raises:
          UserError: TensorBoard is asked for and tensorboardX is not installed.
        """
        self._workdir, self._silent = Path(workdir), silent
        self._board_class = _board_class() if tensorboard and not silent else None
        self._file: IO[str] | None = None
        self._board: Any = None
        self._console = Console(
            file=cast(IO[str], unbreakable(output or sys.stdout)),
            highlight=False,
            soft_wrap=True,
            quiet=silent or quiet,
        )
        self._total = total_steps
        self._width = len(str(total_steps))
        hidden = silent or quiet or not self._console.is_terminal
        self._progress = progress_bar(self._console, disable=hidden)
        self._task = self._progress.add_task("training", total=total_steps)

    def begin(self, first_step: int, validated: int | None = None) -> None:
        """Opens the files; lines of steps that are done again after a resume are dropped.

        Args:
          validated: the last step whose validation counts; None: ``first_step``.
        """
        path = Path(os.devnull) if self._silent else self._workdir / "metrics.jsonl"
        if path.is_file():
            _drop_after(path, first_step, first_step if validated is None else validated)
        self._file = path.open("a", encoding="utf-8")
        if self._board_class is not None:
            folder = str(self._workdir / "tensorboard")
            self._board = self._board_class(folder, purge_step=first_step)
        self._progress.update(self._task, completed=first_step)
        self._progress.start()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, line: str) -> None:
        """Prints a line above the progress bar."""
        self._console.print(line, markup=False)

    def advance(self, step: int, stage: str) -> None:
        """Moves the progress bar to a step."""
        self._progress.update(self._task, completed=step, description=stage)

    def first(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Prints, and does not record, the metrics of the first step of a stage or of a resume."""
        self.advance(step, stage)
        self.say(self._line(step, stage, values))

    def train(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Records the metrics of the steps since the last record, averaged."""
        self.advance(step, stage)
        self._record({"step": step, "kind": "train", "stage": stage, **values})
        self.say(self._line(step, stage, values))

    def _line(self, step: int, stage: str, values: Mapping[str, float]) -> str:
        shown = " ".join(f"{_SHORT.get(k, k)} {values[k]:.4g}" for k in _SHOWN if k in values)
        skipped = f" skipped {values['skipped']:.0f}" if values.get("skipped") else ""
        rate = values.get("steps_per_second")
        left = ""
        if rate and not self._console.is_terminal:
            left = f" left {duration((self._total - step) / rate)}"
        return f"{step:>{self._width}}/{self._total} {stage} {shown}{skipped}{left}"

    def validation(
        self,
        step: int,
        stage: str,
        values: Mapping[str, Any],
        *,
        key: str = "delta_psnr",
        note: str = "",
    ) -> None:
        """Records a validation: ``KEY_mean``, ``KEY_worst``, ``worst_clip`` and what else it has.

        Args:
          key: what was gained: "delta_psnr", in dB, or "gain_lpips" etc.
        """
        kind, _, quantity = key.partition("_")
        unit = " dB" if quantity == "psnr" else ""
        self._record({"step": step, "kind": "validation", "stage": stage, **values})
        self.say(
            f"{step:>{self._width}}/{self._total} {stage} validation: {kind} {quantity.upper()} "
            f"mean {values[f'{key}_mean']:+.4f}{unit}, worst {values[f'{key}_worst']:+.4f}{unit} "
            f"({values['worst_clip']}){note}"
        )

    def close(self) -> None:
        """Closes the files."""
        self._progress.stop()
        if self._file is not None:
            self._file.close()
        if self._board is not None:
            self._board.close()

    def _record(self, record: dict[str, Any]) -> None:
        if self._file is None:
            return
        self._file.write(json.dumps(_jsonable(record)) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in record.items():
                if isinstance(value, float) and math.isfinite(value):
                    self._board.add_scalar(f"{record['kind']}/{name}", value, record["step"])


def _drop_after(path: Path, step: int, validated: int) -> None:
    """Drops records of steps and validations that will be done again."""
    kept = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    for line in lines:
        try:
            record = json.loads(line)
            last = validated if record.get("kind") == "validation" else step
            if line.endswith("\n") and record["step"] <= last:
                kept.append(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # cut short by a kill
    if kept != lines:
        with replacing(path) as part:
            part.write_text("".join(kept), encoding="utf-8")


def _jsonable(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: they become null."""
    if isinstance(value, Mapping):
        return {k: _jsonable(v) for k, v in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _board_class() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UserError(
            "config.tensorboard needs tensorboardX; pip install 'vqe-jax[tensorboard]'"
        ) from None
    return SummaryWriter
