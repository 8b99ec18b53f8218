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
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from vqe_jax.errors import UserError

__all__ = ["MetricsWriter"]

_SHORT = {"learning_rate": "lr", "grad_norm": "|grad|", "steps_per_second": "steps/s"}
_SHOWN = ("loss", "learning_rate", "grad_norm", "state_norm", "steps_per_second")


class MetricsWriter:
    """Writes one line of JSON a record, ``{"step": n, "kind": "train"|"validation", ...}``.

    On a terminal a progress bar with the time left stays below the lines.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        first_step: int,
        total_steps: int,
        tensorboard: bool = False,
        silent: bool = False,
        output: io.TextIOBase | None = None,
    ) -> None:
        """Opens the files; lines of steps that are done again after a resume are dropped.

        Args:
          workdir: of the run.
          first_step: the next step.
          total_steps: of the run.
          tensorboard: write TensorBoard files too.
          silent: write nothing anywhere (all processes of a run but one).
          output: in place of the standard output.

        Raises:
          UserError: TensorBoard is asked for and tensorboardX is not installed.
        """
        path = Path(os.devnull) if silent else Path(workdir) / "metrics.jsonl"
        if path.is_file():
            _drop_after(path, first_step)
        self._board = _open_board(workdir, first_step) if tensorboard and not silent else None
        self._file = path.open("a", encoding="utf-8")
        self._console = Console(
            file=cast(IO[str], output or sys.stdout), highlight=False, soft_wrap=True, quiet=silent
        )  # fmt: skip
        self._total = total_steps
        self._width = len(str(total_steps))
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), console=self._console, disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("training", total=total_steps, completed=first_step)
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

    def train(self, step: int, stage: str, values: Mapping[str, float]) -> None:
        """Records the metrics of the steps since the last record, averaged."""
        self.advance(step, stage)
        self._record({"step": step, "kind": "train", "stage": stage, **values})
        shown = " ".join(f"{_SHORT.get(k, k)} {values[k]:.4g}" for k in _SHOWN if k in values)
        skipped = f" skipped {values['skipped']:.0f}" if values.get("skipped") else ""
        rate = values.get("steps_per_second")
        left = "" if self._console.is_terminal or not rate else f" left {self._left(step, rate)}"
        self.say(f"{step:>{self._width}}/{self._total} {stage} {shown}{skipped}{left}")

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
          step: steps taken.
          stage: under way.
          values: the record.
          key: what was gained: "delta_psnr", in dB, or "gain_lpips" etc.
          note: ends the printed line.
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
        self._file.close()
        if self._board is not None:
            self._board.close()

    def _record(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(_jsonable(record)) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in record.items():
                if isinstance(value, float) and math.isfinite(value):
                    self._board.add_scalar(f"{record['kind']}/{name}", value, record["step"])

    def _left(self, step: int, rate: float) -> str:
        seconds = (self._total - step) / rate
        hours, rest = divmod(round(seconds), 3600)
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def _drop_after(path: Path, step: int) -> None:
    """Drops records of steps that will be done again."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError):
            continue  # cut short by a kill
    part = path.with_name(path.name + ".part")
    part.write_text("".join(kept), encoding="utf-8")
    os.replace(part, path)


def _jsonable(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: they become null."""
    if isinstance(value, Mapping):
        return {k: _jsonable(v) for k, v in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _open_board(workdir: str | os.PathLike[str], first_step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UserError(
            "config.tensorboard needs tensorboardX; pip install 'vqe-jax[tensorboard]'"
        ) from None
    return SummaryWriter(str(Path(workdir) / "tensorboard"), purge_step=first_step)
