"""The tables of a report, as the papers print them."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.evaluation.classes import table_order
from vqe_jax.evaluation.measure import COMPRESSED, ClipResult
from vqe_jax.evaluation.metrics import ClipMetric
from vqe_jax.evaluation.models import EvalModel
from vqe_jax.evaluation.records import NONE, mean_text
from vqe_jax.metrics import Protocol, bd_psnr, bd_rate, peak_valley_difference, standard_deviation

__all__ = [
    "Column",
    "Table",
    "Value",
    "all_tables",
    "at_qp",
    "clip_metric_table",
    "fluctuation_table",
    "gain_table",
    "level",
    "model_table",
    "rate_table",
    "sorted_results",
    "total",
    "with_means",
]


# A clip's value; None where it has none (too small or too short for the metric).
Value = Callable[[ClipResult], float | None]


@dataclasses.dataclass(frozen=True)
class Column:
    """Values that stand in one cell behind each other, as the papers print PSNR / SSIM.

    Attributes:
      header: its name.
      values: of a clip.
      forms: how each is printed.
    """

    header: str
    values: tuple[Value, ...]
    forms: tuple[str, ...]

    def cell(self, rows: Sequence[Sequence[float | None]]) -> str:
        """The means over some clips, each given as a row of values."""
        columns = zip(self.forms, zip(*rows, strict=True), strict=True)
        return " / ".join(mean_text(values, form) for form, values in columns)


def level(protocol: str, label: str, result: ClipResult) -> float | None:
    """A protocol's mean over a clip's frames; None where it is not measured."""
    columns = result.values.get(protocol)
    return None if columns is None else float(columns[label].mean(dtype=np.float64))


def _gain(protocol: str, label: str, factor: float, result: ClipResult) -> float | None:
    if protocol not in result.values:
        return None
    return factor * float(result.gain(protocol, label).mean())


def _fluctuation(
    protocol: str, label: str, of: Callable[[np.ndarray], float], result: ClipResult
) -> float | None:
    if protocol not in result.values:
        return None
    return of(result.values[protocol][label].astype(np.float64))


def total(metric: str, label: str, result: ClipResult) -> float | None:
    """A metric of a whole clip; None where it is not measured."""
    return result.totals.get(metric, {}).get(label)


def _entry(values: dict[int, list[float]], index: int, result: ClipResult) -> float:
    return values[id(result)][index]


@dataclasses.dataclass(frozen=True)
class Table:
    """Text in rows and columns.

    Attributes:
      title: one line.
      note: what the numbers are; a sentence or two.
      header: names of the columns.
      rows: cells; as many as the header has.
      strong: which rows are means.
    """

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[int] = frozenset()

    def markdown(self) -> str:
        """The table with its title and note, in Markdown."""
        texts = [
            [f"**{cell}**" if i in self.strong and cell else cell for cell in row]
            for i, row in enumerate(self.rows)
        ]
        lines = [f"### {self.title}", "", self.note, ""]
        lines += ["| " + " | ".join(self.header) + " |", "|" + " --- |" * len(self.header)]
        return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in texts), ""])


def sorted_results(results: Iterable[ClipResult]) -> list[ClipResult]:
    """By QP, then in the order of the papers' tables."""
    return sorted(
        results,
        key=lambda r: (-1 if r.clip.qp is None else r.clip.qp,
                       table_order(r.clip.name, r.clip.width)),
    )  # fmt: skip


def all_tables(
    results: Sequence[ClipResult],
    models: Sequence[EvalModel],
    protocols: Sequence[Protocol],
    clip_metrics: Sequence[ClipMetric] = (),
) -> list[Table]:
    """The tables of gains: gains and fluctuation for each QP, whole clips, models, rates."""
    labels = [s.label for s in models]
    tables = []
    for qp, group in itertools.groupby(sorted_results(results), key=lambda r: r.clip.qp):
        clips = list(group)
        tables.append(gain_table(clips, labels, protocols, qp))
        tables += [fluctuation_table(clips, labels, p, qp) for p in protocols if _is_psnr(p)][:1]
        if clip_metrics:
            tables.append(clip_metric_table(clips, labels, clip_metrics, qp))
    tables.append(model_table(results, models))
    rate = [rate_table(results, labels, p) for p in protocols if _is_psnr(p)][:1]
    return tables + [t for t in rate if t is not None]


def _is_psnr(protocol: Protocol) -> bool:
    return protocol.quantity == "psnr"


def _unit(protocol: Protocol) -> tuple[float, str]:
    """Factor and name that the papers print a metric's gain in."""
    return {"psnr": (1.0, "dB"), "ssim": (100.0, "x 1e-2"), "ms-ssim": (100.0, "x 1e-2")}.get(
        protocol.quantity, (1.0, "")
    )


def at_qp(qp: int | None) -> str:
    """How a title ends that names a QP."""
    return "" if qp is None else f", QP {qp}"


def with_means(
    title: str, note: str, results: Sequence[ClipResult], columns: Sequence[Column]
) -> Table:
    """A row a clip, a mean a class, and the mean of all; means are those of the clips' values.

    Args:
      title: of the table.
      note: what its numbers are.
      results: in the order to print.
      columns: what to print of each.
    """
    rows: list[tuple[str, ...]] = []
    strong = set()
    numbers = [[[value(r) for value in c.values] for c in columns] for r in results]

    def add(group: str, name: str, chosen: list[list[list[float | None]]]) -> None:
        cells = zip(columns, zip(*chosen, strict=True), strict=True)
        rows.append((group, name, *(column.cell(values) for column, values in cells)))

    def add_mean(group: str, name: str, chosen: list[list[list[float | None]]]) -> None:
        strong.add(len(rows))
        add(group, name, chosen)

    pairs = zip(results, numbers, strict=True)
    for letter, group in itertools.groupby(pairs, key=lambda pair: pair[0].clip.group):
        clips = list(group)
        for r, row in clips:
            add(letter, r.clip.title, [row])
        if letter and len(clips) > 1:
            add_mean(letter, "mean", [row for _, row in clips])
    add_mean("", f"average of {len(results)}", numbers)
    header = ("class", "sequence", *(c.header for c in columns))
    if not any(r.clip.group for r in results):
        header, rows = header[1:], [row[1:] for row in rows]
    return Table(title, note, header, tuple(rows), frozenset(strong))


def gain_table(
    results: Sequence[ClipResult],
    labels: Sequence[str],
    protocols: Sequence[Protocol],
    qp: int | None,
) -> Table:
    """The compressed clips and what each model adds (RFDA Table 1, STDF Table 1).

    Args:
      results: of one QP, in the order to print.
      labels: of the models.
      protocols: in the order to print.
      qp: for the title.
    """
    levels = tuple(functools.partial(level, p.name, COMPRESSED) for p in protocols)
    forms = tuple("{:.2f}" if p.quantity == "psnr" else "{:.4f}" for p in protocols)
    names = " / ".join(p.name for p in protocols)
    columns = [Column(f"{COMPRESSED} {names}", levels, forms)]
    units = [_unit(p) for p in protocols]
    signed = tuple("{:+.3f}" if p.quantity == "psnr" else "{:+.2f}" if unit else "{:+.4f}"
                   for p, (_, unit) in zip(protocols, units, strict=True))  # fmt: skip
    deltas = " / ".join(f"Δ{p.name} {unit}".strip()
                        for p, (_, unit) in zip(protocols, units, strict=True))  # fmt: skip
    for label in labels:
        gains = tuple(functools.partial(_gain, p.name, label, factor)
                      for p, (factor, _) in zip(protocols, units, strict=True))  # fmt: skip
        columns.append(Column(f"{label} {deltas}", gains, signed))
    note = "Means over all frames of a clip; averages are means of the clips' means. " + " ".join(
        f"{p.name}: {p.description}." for p in protocols
    )
    return with_means(f"Gain{at_qp(qp)}", note, results, columns)


def fluctuation_table(
    results: Sequence[ClipResult], labels: Sequence[str], protocol: Protocol, qp: int | None
) -> Table:
    """Peak-valley difference and standard deviation over frames (RFDA Table 3)."""
    columns = []
    for label in (COMPRESSED, *labels):
        values = tuple(functools.partial(_fluctuation, protocol.name, label, of)
                       for of in (peak_valley_difference, standard_deviation))  # fmt: skip
        columns.append(Column(f"{label} PVD / SD", values, ("{:.2f}", "{:.2f}")))
    note = (
        f"Peak-valley difference and standard deviation of {protocol.name} over the frames of a "
        "clip, in dB; smaller is steadier."
    )
    return with_means(f"Fluctuation{at_qp(qp)}", note, results, columns)


def clip_metric_table(
    results: Sequence[ClipResult],
    labels: Sequence[str],
    metrics: Sequence[ClipMetric],
    qp: int | None,
) -> Table:
    """Metrics that judge a clip as a whole; absolute values, as papers print them."""
    names = " / ".join(m.name for m in metrics)
    columns = [
        Column(
            f"{label} {names}",
            tuple(functools.partial(total, m.name, label) for m in metrics),
            ("{:.4g}",) * len(metrics),
        )
        for label in (COMPRESSED, *labels)
    ]
    note = " ".join(f"{m.name}: {m.description}." for m in metrics)
    return with_means(f"Whole clips{at_qp(qp)}", note, results, columns)


def model_table(results: Sequence[ClipResult], models: Sequence[EvalModel]) -> Table:
    """Parameters and measured speed of each model (RFDA Table 2)."""
    sizes = sorted({(r.clip.height, r.clip.width) for r in results})
    header = (
        "model",
        "parameters",
        "averaged",
        "trained at QP",
        *(f"fps at {w}x{h}" for h, w in sizes),
    )
    rows = []
    for s in models:
        qps = sorted({qp for choice in s.choices for qp in choice.qp})
        fps = [
            np.mean([r.speed[s.label] for r in results if (r.clip.height, r.clip.width) == size])
            for size in sizes
        ]
        cells = (f"{v:.3g}" for v in fps)
        said = s.ensemble_text or NONE
        rows.append((s.label, f"{s.parameters:,}", said, " ".join(map(str, qps)) or "?", *cells))
    note = "Frames per second of the enhancement alone: no decoding, no metrics, no compilation."
    return Table("Models", note, header, tuple(rows))


def rate_table(
    results: Sequence[ClipResult], labels: Sequence[str], protocol: Protocol
) -> Table | None:
    """BD-rate and BD-PSNR against the compressed clips; None with fewer than four QPs."""
    by_clip: dict[tuple[str, int], list[ClipResult]] = {}
    for r in results:
        by_clip.setdefault((r.clip.name, r.clip.width), []).append(r)
    full = [
        sorted(clips, key=lambda r: r.clip.kbps)
        for _, clips in sorted(by_clip.items(), key=lambda item: table_order(*item[0]))
        if len({r.clip.qp for r in clips}) >= 4 and all(r.clip.kbps > 0 for r in clips)
    ]
    if not full:
        return None
    deltas = {id(clips[0]): _deltas(clips, labels, protocol) for clips in full}
    columns = [
        Column(
            f"{label} BD-rate % / BD-PSNR dB",
            (
                functools.partial(_entry, deltas, 2 * i),
                functools.partial(_entry, deltas, 2 * i + 1),
            ),
            ("{:+.2f}", "{:+.3f}"),
        )
        for i, label in enumerate(labels)
    ]
    qps = sorted({r.clip.qp for r in full[0] if r.clip.qp is not None})
    note = (
        f"Bjontegaard deltas of {protocol.name} against the compressed clip, cubic fit over "
        f"log10(rate), QPs {', '.join(map(str, qps))}; a negative rate is a saving."
    )
    return with_means("Rate-distortion", note, [clips[0] for clips in full], columns)


def _deltas(clips: list[ClipResult], labels: Sequence[str], protocol: Protocol) -> list[float]:
    rates = [r.clip.kbps for r in clips]

    def curve(column: str) -> list[float]:
        found = (level(protocol.name, column, r) for r in clips)
        return [value for value in found if value is not None]

    anchor = curve(COMPRESSED)
    found = []
    for label in labels:
        for delta in (bd_rate, bd_psnr):
            try:
                found.append(delta(rates, anchor, rates, curve(label)))
            except UserError:  # curves that share no PSNR have no delta; the rest stands
                found.append(math.nan)
    return found
