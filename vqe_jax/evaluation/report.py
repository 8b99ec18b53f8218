"""Writing what was measured: Markdown, JSON, a CSV of all frames, and plots."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import vqe_jax
from vqe_jax.evaluation import plots
from vqe_jax.evaluation.clips import ClipFacts
from vqe_jax.evaluation.comparisons import comparison_tables
from vqe_jax.evaluation.long_run import LongRun
from vqe_jax.evaluation.measure import COMPRESSED, ClipResult
from vqe_jax.evaluation.metrics import Metrics
from vqe_jax.evaluation.models import EvalModel
from vqe_jax.evaluation.papers import PAPERS, Evidence
from vqe_jax.evaluation.records import Record, Values, clips_of, records_of, values_of
from vqe_jax.evaluation.tables import Entry, Table, all_tables, by_qp
from vqe_jax.files import replacing
from vqe_jax.metrics import Protocol

__all__ = ["Report", "environment", "write_long_run", "write_report"]


@dataclasses.dataclass(frozen=True)
class Report:
    """An evaluation.

    Attributes:
      notes: more that a reader must know: where weights come from, whose chroma it is.
    """

    results: Sequence[ClipResult]
    models: Sequence[EvalModel]
    metrics: Metrics
    command: str
    date: str
    papers: Sequence[str] = ()
    notes: Sequence[str] = ()

    @functools.cached_property
    def records(self) -> list[Record]:
        """All values, by QP and in the order of the papers' tables."""
        return records_of(self.results)

    @functools.cached_property
    def values(self) -> Values:
        """The records by what they are of."""
        return values_of(self.records)

    @functools.cached_property
    def tables(self) -> list[Table]:
        """All that the results allow."""
        labels, metrics = [m.label for m in self.models], self.metrics
        tables = all_tables(self.values, self.models, metrics)
        for clips in by_qp(self.values):
            tables += comparison_tables(self.values, clips, labels, metrics)
        return tables + self.paper_tables

    @functools.cached_property
    def paper_tables(self) -> list[Table]:
        """Those of papers, whose notes say what could not be measured."""
        evidence = Evidence(self.results, self.models, self.metrics.missing, environment())
        return [table for name in self.papers for table in PAPERS.get(name).tables(evidence)]

    @property
    def descriptions(self) -> dict[str, str]:
        """What each metric means, by name."""
        return {m.name: m.description for m in self.metrics.all}

    @property
    def remarks(self) -> list[str]:
        """Notes, what is missing, of each model and metric mean and worst clip, and the guard."""
        lines = [
            *self.notes,
            *(f"{name} is missing: {why}" for name, why in self.metrics.missing.items()),
        ]
        for r in self.results:
            name = _name(r.clip.facts)
            lines += [f"{m} is not measured on {name}: {why}" for m, why in r.left_out.items()]
        for model in self.models:
            lines += [line for p in self.metrics.frames if (line := self._gain_line(model, p))]
            for r in self.results:
                events = r.events[model.label]
                lines += [f"{model.label} on {_name(r.clip.facts)}: {event}" for event in events]
        return lines

    def _gain_line(self, model: EvalModel, protocol: Protocol) -> str:
        entry = Entry(model.label, protocol.name, "", over=COMPRESSED)
        found = {_name(c): entry.of(self.values, c) for c in clips_of(self.values)}
        gains = {name: gain for name, gain in found.items() if gain is not None}
        if not gains:
            return ""
        worst = (min if protocol.higher_is_better else max)(gains, key=lambda n: gains[n])
        return (
            f"{model.label}: {protocol.name} {np.mean(list(gains.values())):+.4f} in the mean over "
            f"{len(gains)} clips, worst {gains[worst]:+.4f} ({worst})"
        )


def _name(clip: ClipFacts) -> str:
    return clip.name if clip.qp is None else f"{clip.name}@qp{clip.qp}"


def environment() -> dict[str, str]:
    """Versions and hardware."""
    device = jax.devices()[0]
    return {
        "vqe_jax": vqe_jax.__version__,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "device": f"{device.platform}: {device.device_kind}",
        "cpu": f"{os.cpu_count()} cores, {platform.machine()}",
    }


def write_report(report: Report, folder: str | os.PathLike[str]) -> dict[str, Path]:
    """Writes ``report.md`` and ``.json``, ``records.csv``, ``frames.csv``; plots by matplotlib.

    Each file appears only when it is complete.

    Args:
      folder: where to; made if missing.

    Returns:
      Path of each file by its name.
    """
    save = _Saver(Path(folder))
    save("frames.csv", lambda part: _write_csv(_frame_rows(report), part))
    save("records.csv", lambda part: _write_csv(_record_rows(report), part))
    text = json.dumps(_as_json(report), indent=1, allow_nan=False)
    save("report.json", lambda part: _write(part, text))
    pictures = plots.draw(report.results, report.models, report.metrics.frames, save)
    save("report.md", lambda part: _write(part, _markdown(report, pictures)))
    return save.written


def write_long_run(
    runs: Mapping[str, Sequence[LongRun]],
    tables: Sequence[Table],
    folder: str | os.PathLike[str],
    *,
    command: str,
) -> dict[str, Path]:
    """Writes ``long_run.md`` and every frame's gain in ``long_run.csv``.

    Args:
      folder: where to; made if missing.

    Returns:
      Path of each file by its name.
    """
    save = _Saver(Path(folder))
    rows: list[Sequence[Any]] = [("model", "clip", "frame", "gain")]
    for label, found in runs.items():
        for run in found:
            rows += [(label, run.clip, i, f"{gain:.6g}") for i, gain in enumerate(run.gains)]
    save("long_run.csv", lambda part: _write_csv(rows, part))
    lines = ["# Long run", "", f"`{command}`", "", _about() + ".", ""]
    text = "\n".join([*lines, *(table.markdown() for table in tables)])
    save("long_run.md", lambda part: _write(part, text))
    return save.written


class _Saver:
    """Writes files of a folder so that each appears only when it is complete."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.written: dict[str, Path] = {}

    def __call__(self, name: str, write: Callable[[Path], None]) -> None:
        target = self._folder / name
        with replacing(target) as part:
            write(part)
        self.written[name] = target


def _about() -> str:
    return ", ".join(f"{key} {value}" for key, value in environment().items())


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _markdown(report: Report, pictures: Sequence[tuple[str, str]]) -> str:
    lines = ["# Evaluation", "", f"`{report.command}`", "", f"{report.date}; {_about()}.", ""]
    lines += [f"- {line}" for line in report.remarks]
    lines += ["", *(table.markdown() for table in report.tables)]
    lines += [f"![{title}]({name})\n" for name, title in pictures]
    return "\n".join(lines)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "command": report.command,
        "date": report.date,
        "environment": environment(),
        "protocols": report.descriptions,
        "missing": dict(report.metrics.missing),
        "notes": list(report.notes),
        "pooling": "mean over the frames of each clip, then mean over the clips",
        "models": [m.to_json() for m in report.models],
        "clips": [_clip_json(report, r) for r in _ordered(report.results)],
        "tables": [
            {"title": t.title, "note": t.note, "header": t.header, "rows": t.rows}
            for t in report.tables
        ],
    }


def _ordered(results: Sequence[ClipResult]) -> list[ClipResult]:
    return sorted(results, key=lambda r: r.clip.facts.order)


def _clip_json(report: Report, result: ClipResult) -> dict[str, Any]:
    clip, labels = result.clip.facts, [m.label for m in report.models]

    def by_metric(
        metrics: Iterable[str], columns: Sequence[str], over: str | None = None
    ) -> dict[str, dict[str, float | None]]:
        entries = {m: [Entry(x, m, "", over) for x in columns] for m in metrics}
        return {
            m: {e.label: _finite(v) for e in row if (v := e.of(report.values, clip)) is not None}
            for m, row in entries.items()
        }

    every = [COMPRESSED, *labels]
    return {
        "name": clip.name,
        "class": clip.group,
        "qp": clip.qp,
        "origin": clip.origin,
        "width": clip.width,
        "height": clip.height,
        "frames": clip.frames,
        "kbps": clip.kbps,
        "means": by_metric(result.values, every),
        "gain": by_metric(result.values, labels, COMPRESSED),
        "totals": by_metric(result.totals, every),
        "left_out": result.left_out,
        "fps": result.speed,
        "guard": {k: list(v) for k, v in result.events.items()},
    }


Rows = Iterable[Sequence[Any]]


def _write_csv(rows: Rows, path: Path) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    _write(path, text.getvalue())


def _record_rows(report: Report) -> Rows:
    """One value a line: what spreadsheets and data frames pivot."""
    yield ["clip", "class", "qp", "label", "metric", "value"]
    for r in report.records:
        qp = "" if r.clip.qp is None else r.clip.qp
        yield [r.clip.name, r.clip.group, qp, r.label, r.metric, f"{r.value:.9g}"]


def _frame_rows(report: Report) -> Rows:
    """A line a frame, a column for every metric and model."""
    columns = [
        (p.name, x)
        for p in report.metrics.frames
        for x in (COMPRESSED, *(m.label for m in report.models))
    ]
    yield ["clip", "qp", "frame", "type", "frame_qp", *(f"{x} {name}" for name, x in columns)]
    for r in _ordered(report.results):
        c = r.clip
        series = [r.values.get(name, {}).get(x) for name, x in columns]
        for i in range(c.count):
            qp = c.frame_qps[i] if i < len(c.frame_qps) and c.frame_qps[i] >= 0 else ""
            kind = c.frame_types[i] if i < len(c.frame_types) else "?"
            numbers = ("" if s is None else f"{s[i]:.6g}" for s in series)
            yield [c.name, "" if c.qp is None else c.qp, i, kind, qp, *numbers]
