"""Tables that set models beside each other: absolute values, a row a model or a clip.

PeQuENet's Tables I and IX have a row for each sequence and a column for each method; the tables of
the NTIRE 2021 report a row for each method, with the PSNR of every clip or all metrics' averages.
"""

from __future__ import annotations

from collections.abc import Sequence

from vqe_jax.evaluation.clips import ClipFacts
from vqe_jax.evaluation.measure import COMPRESSED
from vqe_jax.evaluation.metrics import ClipMetric, Metrics
from vqe_jax.evaluation.records import Values
from vqe_jax.evaluation.tables import Column, Entry, Table, at_qp, with_means
from vqe_jax.metrics import Protocol

__all__ = ["average_table", "by_clip_table", "comparison_tables", "distance_table"]

_FORMS = {"psnr": "{:.2f}", "vmaf": "{:.2f}", "fid": "{:.2f}"}


def comparison_tables(
    values: Values, clips: Sequence[ClipFacts], labels: Sequence[str], metrics: Metrics
) -> list[Table]:
    """Those that say more than the table of gains: of several metrics or several models.

    Args:
      clips: of one QP, in the order to print.
      metrics: in the order to print, those that are missing last.
    """
    frames = metrics.frames
    tables = [distance_table(values, clips, labels, p) for p in frames if not p.higher_is_better]
    if len(labels) + len(metrics.all) + len(metrics.missing) > 2:
        tables += [by_clip_table(values, clips, labels, p) for p in _fidelity(frames)]
        tables.append(average_table(values, clips, labels, metrics))
    return tables


def _fidelity(protocols: Sequence[Protocol]) -> list[Protocol]:
    """The first PSNR, and the first SSIM of several scales."""
    return [
        next(p for p in protocols if p.quantity == quantity)
        for quantity in ("psnr", "ms-ssim")
        if any(p.quantity == quantity for p in protocols)
    ]


def _form(metric: Protocol | ClipMetric) -> str:
    kind = metric.quantity if isinstance(metric, Protocol) else metric.name
    return _FORMS.get(kind, "{:.4f}")


def distance_table(
    values: Values, clips: Sequence[ClipFacts], labels: Sequence[str], protocol: Protocol
) -> Table:
    """A distance of every clip, compressed and enhanced (PeQuENet, Table I)."""
    columns = [
        Column(label, (Entry(label, protocol.name, "{:.4f}"),)) for label in (COMPRESSED, *labels)
    ]
    note = f"{protocol.description}. Means over all frames of a clip."
    return with_means(f"{protocol.name}{at_qp(clips)}", note, values, clips, columns)


def by_clip_table(
    values: Values, clips: Sequence[ClipFacts], labels: Sequence[str], protocol: Protocol
) -> Table:
    """A row a model and a column a clip (NTIRE 2021 report, Tables 1 and 3)."""
    rows = []
    for label in (COMPRESSED, *labels):
        entry = Entry(label, protocol.name, _form(protocol))
        rows.append((label, *(entry.text(values, of) for of in (*([c] for c in clips), clips))))
    header = ("model", *(c.title for c in clips), "average")
    note = f"{protocol.description}. Means over all frames of a clip."
    return Table(f"{protocol.name} of each clip{at_qp(clips)}", note, header, tuple(rows))


def average_table(
    values: Values, clips: Sequence[ClipFacts], labels: Sequence[str], metrics: Metrics
) -> Table:
    """A row a model and a column a metric (NTIRE 2021 report, Table 2); none is left out."""
    missing = metrics.missing
    rows = [
        (
            label,
            *(Entry(label, m.name, _form(m)).text(values, clips) for m in metrics.all),
            *("missing" for _ in missing),
        )
        for label in (COMPRESSED, *labels)
    ]
    arrows = [f"{m.name} {'↑' if m.higher_is_better else '↓'}" for m in metrics.all]
    note = f"Means of the clips' values, {len(clips)} clips; ↑ larger is better, ↓ smaller."
    if missing:
        note += f" Missing: {', '.join(missing)}, which cannot be measured here; why is said above."
    return Table(f"All metrics{at_qp(clips)}", note, ("model", *arrows, *missing), tuple(rows))
