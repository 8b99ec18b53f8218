"""Writing what was measured: Markdown, JSON, a CSV of all frames, and plots."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import itertools
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import vqe_jax
from vqe_jax.evaluation import plots
from vqe_jax.evaluation.comparisons import comparison_tables
from vqe_jax.evaluation.long_run import LongRun
from vqe_jax.evaluation.measure import COMPRESSED, ClipResult
from vqe_jax.evaluation.metrics import Metrics
from vqe_jax.evaluation.models import EvalModel
from vqe_jax.evaluation.papers import PAPERS, Evidence
from vqe_jax.evaluation.tables import Table, all_tables, sorted_results
from vqe_jax.files import replacing

__all__ = ["Report", "environment", "write_long_run", "write_report"]


@dataclasses.dataclass(frozen=True)
class Report:
    """An evaluation.

    Attributes:
      results: one a clip.
      models: what was evaluated.
      metrics: what was measured.
      command: how to have it again.
      date: when it was made.
      papers: whose tables it has too.
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
    def tables(self) -> list[Table]:
        """All that the results allow."""
        labels = [s.label for s in self.models]
        metrics = self.metrics
        tables = all_tables(self.results, self.models, metrics.frames, metrics.clips)
        ordered = sorted_results(self.results)
        for qp, group in itertools.groupby(ordered, key=lambda r: r.clip.qp):
            tables += comparison_tables(
                list(group), labels, metrics.frames, metrics.clips, metrics.missing, qp
            )  # fmt: skip
        evidence = Evidence(self.results, self.models, metrics.missing, environment())
        for name in self.papers:
            tables += PAPERS.get(name).tables(evidence)
        return tables

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
            lines += [f"{m} is not measured on {_name(r)}: {why}" for m, why in r.left_out.items()]
        for s in self.models:
            for p in self.metrics.frames:
                measured = [r for r in self.results if p.name in r.values]
                gains = {_name(r): float(r.gain(p.name, s.label).mean()) for r in measured}
                if not gains:
                    continue
                worst = (min if p.higher_is_better else max)(gains, key=lambda n: gains[n])
                lines.append(
                    f"{s.label}: {p.name} {np.mean(list(gains.values())):+.4f} in the mean over "
                    f"{len(gains)} clips, worst {gains[worst]:+.4f} ({worst})"
                )
            for r in self.results:
                lines += [f"{s.label} on {_name(r)}: {event}" for event in r.events[s.label]]
        return lines


def _name(result: ClipResult) -> str:
    qp = result.clip.qp
    return result.clip.name if qp is None else f"{result.clip.name}@qp{qp}"


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
    """Writes ``report.md``, ``report.json``, ``frames.csv`` and, with matplotlib, the plots.

    Each file appears only when it is complete.

    Args:
      report: what to write.
      folder: where to; made if missing.

    Returns:
      Path of each file by its name.
    """
    save = _Saver(Path(folder))
    save("frames.csv", lambda part: _write_csv(report, part))
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
      runs: of each model by label.
      tables: one a model.
      folder: where to; made if missing.
      command: how to have it again.

    Returns:
      Path of each file by its name.
    """
    save = _Saver(Path(folder))
    rows = ["model,clip,frame,gain"]
    for label, found in runs.items():
        for run in found:
            rows += [f"{label},{run.clip},{i},{g:.6g}" for i, g in enumerate(run.gains)]
    save("long_run.csv", lambda part: _write(part, "\n".join(rows) + "\n"))
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
    labels = [s.label for s in report.models]
    clips = []
    for r in sorted_results(report.results):
        c = r.clip
        means = {
            name: {k: _finite(v.mean(dtype=np.float64)) for k, v in columns.items()}
            for name, columns in r.values.items()
        }
        clips.append({
            "name": c.name, "class": c.group, "qp": c.qp, "width": c.width, "height": c.height,
            "frames": c.count, "kbps": c.kbps, "means": means,
            "gain": {p.name: {k: _finite(r.gain(p.name, k).mean()) for k in labels}
                     for p in report.metrics.frames if p.name in r.values},
            "totals": {name: {k: _finite(v) for k, v in columns.items()}
                       for name, columns in r.totals.items()},
            "left_out": r.left_out,
            "fps": r.speed, "guard": {k: list(v) for k, v in r.events.items()},
        })  # fmt: skip
    return {
        "command": report.command,
        "date": report.date,
        "environment": environment(),
        "protocols": report.descriptions,
        "missing": dict(report.metrics.missing),
        "notes": list(report.notes),
        "pooling": "mean over the frames of each clip, then mean over the clips",
        "models": [s.to_json() for s in report.models],
        "clips": clips,
        "tables": [
            {"title": t.title, "note": t.note, "header": t.header, "rows": t.rows}
            for t in report.tables
        ],
    }


def _write_csv(report: Report, path: Path) -> None:
    columns = [COMPRESSED, *(s.label for s in report.models)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    header = ["clip", "qp", "frame", "type", "frame_qp"]
    writer.writerow([*header, *(f"{c} {p.name}" for p in report.metrics.frames for c in columns)])
    for r in sorted_results(report.results):
        c = r.clip
        series = [r.values.get(p.name, {}).get(k) for p in report.metrics.frames for k in columns]
        for i in range(c.count):
            qp = c.frame_qps[i] if i < len(c.frame_qps) and c.frame_qps[i] >= 0 else ""
            kind = c.frame_types[i] if i < len(c.frame_types) else "?"
            numbers = ("" if s is None else f"{s[i]:.6g}" for s in series)
            writer.writerow([c.name, "" if c.qp is None else c.qp, i, kind, qp, *numbers])
    _write(path, text.getvalue())
