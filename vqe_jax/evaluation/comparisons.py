"""Tables that set models beside each other: absolute values, a row a model or a clip.

PeQuENet's Tables I and IX have a row for each sequence and a column for each method; the tables of
the NTIRE 2021 report a row for each method, with the PSNR of every clip or all metrics' averages.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from vqe_jax.evaluation.measure import COMPRESSED, ClipResult
from vqe_jax.evaluation.metrics import ClipMetric
from vqe_jax.evaluation.records import mean_text
from vqe_jax.evaluation.tables import Column, Table, at_qp, level, total, with_means
from vqe_jax.metrics import Protocol

__all__ = ["average_table", "by_clip_table", "comparison_tables", "distance_table"]

_FORMS = {"psnr": "{:.2f}", "vmaf": "{:.2f}", "fid": "{:.2f}"}


def comparison_tables(
    results: Sequence[ClipResult],
    labels: Sequence[str],
    protocols: Sequence[Protocol],
    clip_metrics: Sequence[ClipMetric],
    missing: Mapping[str, str],
    qp: int | None,
) -> list[Table]:
    """Those that say more than the table of gains: of several metrics or several models.

    Args:
      results: of one QP, in the order to print.
      labels: of the models.
      protocols: metrics of frames, in the order to print.
      clip_metrics: metrics of whole clips.
      missing: metrics that were asked for and cannot be measured, and why.
      qp: for the titles.
    """
    tables = [distance_table(results, labels, p, qp) for p in protocols if not p.higher_is_better]
    if len(labels) + len(protocols) + len(clip_metrics) + len(missing) > 2:
        tables += [by_clip_table(results, labels, p, qp) for p in _fidelity(protocols)]
        tables.append(average_table(results, labels, protocols, clip_metrics, missing, qp))
    return tables


def _fidelity(protocols: Sequence[Protocol]) -> list[Protocol]:
    """The first PSNR, and the first SSIM of several scales."""
    return [
        next(p for p in protocols if p.quantity == quantity)
        for quantity in ("psnr", "ms-ssim")
        if any(p.quantity == quantity for p in protocols)
    ]


def _headed(name: str, higher_is_better: bool) -> str:
    return f"{name} {'↑' if higher_is_better else '↓'}"


def _form(name: str) -> str:
    return _FORMS.get(name, "{:.4f}")


def distance_table(
    results: Sequence[ClipResult], labels: Sequence[str], protocol: Protocol, qp: int | None
) -> Table:
    """A distance of every clip, compressed and enhanced (PeQuENet, Table I)."""
    columns = [
        Column(label, (functools.partial(level, protocol.name, label),), (_form(""),))
        for label in (COMPRESSED, *labels)
    ]
    note = f"{protocol.description}. Means over all frames of a clip."
    return with_means(f"{protocol.name}{at_qp(qp)}", note, results, columns)


def by_clip_table(
    results: Sequence[ClipResult], labels: Sequence[str], protocol: Protocol, qp: int | None
) -> Table:
    """A row a model and a column a clip (NTIRE 2021 report, Tables 1 and 3)."""
    form = _form(protocol.quantity)
    rows = []
    for label in (COMPRESSED, *labels):
        values = [level(protocol.name, label, r) for r in results]
        rows.append((label, *(mean_text([v], form) for v in values), mean_text(values, form)))
    header = ("model", *(r.clip.title for r in results), "average")
    note = f"{protocol.description}. Means over all frames of a clip."
    title = f"{protocol.name} of each clip{at_qp(qp)}"
    return Table(title, note, header, tuple(rows))


def average_table(
    results: Sequence[ClipResult],
    labels: Sequence[str],
    protocols: Sequence[Protocol],
    clip_metrics: Sequence[ClipMetric],
    missing: Mapping[str, str],
    qp: int | None,
) -> Table:
    """A row a model and a column a metric (NTIRE 2021 report, Table 2); none is left out."""
    rows = []
    for label in (COMPRESSED, *labels):
        cells = [
            mean_text([level(p.name, label, r) for r in results], _form(p.quantity))
            for p in protocols
        ]
        cells += [
            mean_text([total(m.name, label, r) for r in results], _form(m.name))
            for m in clip_metrics
        ]
        rows.append((label, *cells, *("missing" for _ in missing)))
    arrows = [_headed(p.name, p.higher_is_better) for p in protocols]
    arrows += [_headed(m.name, m.higher_is_better) for m in clip_metrics]
    note = f"Means of the clips' values, {len(results)} clips; ↑ larger is better, ↓ smaller."
    if missing:
        note += f" Missing: {', '.join(missing)}, which cannot be measured here; why is said above."
    return Table(f"All metrics{at_qp(qp)}", note, ("model", *arrows, *missing), tuple(rows))
