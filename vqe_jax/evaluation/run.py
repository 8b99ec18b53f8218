"""One evaluation from start to end: the library behind ``evaluate.py``."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.table import Table as RichTable

from vqe_jax.errors import UserError
from vqe_jax.evaluation.clips import EvalClip
from vqe_jax.evaluation.long_run import LongRun, check_length, long_run, long_run_table
from vqe_jax.evaluation.measure import Options, measure
from vqe_jax.evaluation.metrics import Metrics
from vqe_jax.evaluation.models import EvalModel
from vqe_jax.evaluation.report import Report
from vqe_jax.evaluation.tables import Table
from vqe_jax.metrics import Protocol
from vqe_jax.terminal import plain, progress_bar

__all__ = ["evaluate", "evaluate_long", "print_table", "progress_of"]

Advance = Callable[[], None]


@contextlib.contextmanager
def progress_of(total: int, console: Console) -> Iterator[Callable[[str], Advance]]:
    """A progress bar over frames with the time remaining and frames per second.

    Args:
      console: where to draw; nothing is drawn where it is not a terminal.

    Yields:
      ``(what is done now) -> function to call after each frame``.
    """
    rate = plain("{task.fields[rate]}")
    with progress_bar(console, disable=not console.is_terminal, before=[rate]) as bar:
        task = bar.add_task("", total=total, rate="")

        def begin(description: str) -> Advance:
            bar.update(task, description=description)

            def advance() -> None:
                speed = bar.tasks[0].speed
                bar.update(task, advance=1, rate=f"{speed:.1f} frames/s" if speed else "")

            return advance

        yield begin


def evaluate(
    models: Sequence[EvalModel],
    clips: Sequence[EvalClip],
    metrics: Metrics,
    *,
    options: Options | None = None,
    papers: Sequence[str] = (),
    command: str = "",
    console: Console | None = None,
) -> Report:
    """Enhances every clip with every model and measures all frames.

    Args:
      papers: whose tables the report has, of :data:`vqe_jax.evaluation.papers.PAPERS`.
      command: what the report says about how it was made.
      console: where progress is drawn; None: nowhere.

    Returns:
      The results, ready for :func:`vqe_jax.evaluation.report.write_report`.

    Raises:
      UserError: no clips.
    """
    if not clips:
        raise UserError("nothing to evaluate on: the split holds no clips")
    options = options or Options()
    total = sum(clip.count for clip in clips) * (1 + len(models))
    results = []
    with progress_of(total, console or Console(quiet=True, markup=False)) as begin:
        for clip in clips:
            advance = begin(clip.title)
            results.append(
                measure(clip, models, metrics.frames, options, advance, clip_metrics=metrics.clips)
            )
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Report(results, models, metrics, command, date, papers, _notes(models, metrics, options))


def _notes(models: Sequence[EvalModel], metrics: Metrics, options: Options) -> list[str]:
    lines = [f"{m.label} averages {text}" for m in models if (text := m.ensemble_text)]
    lines += [f"{name} is measured with {source}" for name, source in metrics.sources.items()]
    color = models[0].color
    other = [m.name for m in metrics.all if m.color not in (color, None)]
    if other and color == "luma":
        lines.append(
            f"{', '.join(other)}: enhanced luma with the chroma of the {options.chroma} clip, as "
            "RGB; the compressed column likewise"
        )
    elif other:
        lines.append(f"{', '.join(other)}: luma of the enhanced RGB, of 8 bits")
    return lines


def evaluate_long(
    models: Sequence[EvalModel],
    clips: Sequence[EvalClip],
    protocol: Protocol,
    *,
    length: int,
    console: Console | None = None,
) -> tuple[list[Table], dict[str, list[LongRun]]]:
    """Plays every clip back and forth through every model.

    Args:
      console: where progress is drawn; None: nowhere.

    Returns:
      A table a model, and the runs by label.
    """
    if not clips:
        raise UserError("nothing to evaluate on: the split holds no clips")
    for clip in clips:
        check_length(clip, length)
    runs: dict[str, list[LongRun]] = {s.label: [] for s in models}
    total = len(models) * len(clips) * length
    with progress_of(total, console or Console(quiet=True, markup=False)) as begin:
        for model, clip in itertools.product(models, clips):
            advance = begin(f"{model.label} {clip.title}")
            run = long_run(clip, model, protocol, length=length, on_frame=advance)
            runs[model.label].append(run)
    return [long_run_table(label, protocol, found) for label, found in runs.items()], runs


def print_table(table: Table, console: Console, *, with_note: bool = False) -> None:
    """Shows a table in the terminal."""
    shown = RichTable(title=table.title, title_justify="left")
    for name in table.header:
        is_text = name in ("class", "sequence", "clip", "model")
        shown.add_column(name, justify="left" if is_text else "right", overflow="fold")
    for i, row in enumerate(table.rows):
        shown.add_row(*row, style="bold" if i in table.strong else None)
    console.print(shown)
    if with_note:
        console.print(table.note, highlight=False, soft_wrap=True, markup=False)
