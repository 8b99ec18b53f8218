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
from vqe_jax.evaluation.judges import ClipMetric
from vqe_jax.evaluation.measure import COMPRESSED, ClipResult
from vqe_jax.evaluation.subjects import Subject
from vqe_jax.metrics import Protocol, bd_psnr, bd_rate, peak_valley_difference, standard_deviation

__all__ = [
    "Table",
    "all_tables",
    "clip_metric_table",
    "fluctuation_table",
    "gain_table",
    "model_table",
    "rate_table",
    "sorted_results",
]


_Value = Callable[[ClipResult], float]


@dataclasses.dataclass(frozen=True)
class _Column:
    """Values that stand in one cell behind each other, as the papers print PSNR / SSIM."""

    header: str
    values: tuple[_Value, ...]
    forms: tuple[str, ...]

    def cell(self, numbers: Sequence[float]) -> str:
        return " / ".join(f.format(n) for f, n in zip(self.forms, numbers, strict=True))


def _level(protocol: str, label: str, result: ClipResult) -> float:
    return float(result.values[protocol][label].mean(dtype=np.float64))


def _gain(protocol: str, label: str, factor: float, result: ClipResult) -> float:
    return factor * float(result.gain(protocol, label).mean())


def _fluctuation(
    protocol: str, label: str, of: Callable[[np.ndarray], float], result: ClipResult
) -> float:
    return of(result.values[protocol][label].astype(np.float64))


def _total(metric: str, label: str, result: ClipResult) -> float:
    return result.totals[metric][label]


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
    subjects: Sequence[Subject],
    protocols: Sequence[Protocol],
    clip_metrics: Sequence[ClipMetric] = (),
) -> list[Table]:
    """Every table that the results allow: gains and fluctuation for each QP, models, rates."""
    labels = [s.label for s in subjects]
    tables = []
    for qp, group in itertools.groupby(sorted_results(results), key=lambda r: r.clip.qp):
        clips = list(group)
        tables.append(gain_table(clips, labels, protocols, qp))
        tables += [fluctuation_table(clips, labels, p, qp) for p in protocols if _is_psnr(p)][:1]
        if clip_metrics:
            tables.append(clip_metric_table(clips, labels, clip_metrics, qp))
    tables.append(model_table(results, subjects))
    rate = [rate_table(results, labels, p) for p in protocols if _is_psnr(p)][:1]
    return tables + [t for t in rate if t is not None]


def _is_psnr(protocol: Protocol) -> bool:
    return protocol.quantity == "psnr"


def _unit(protocol: Protocol) -> tuple[float, str]:
    """Factor and name that the papers print a metric's gain in."""
    return {"psnr": (1.0, "dB"), "ssim": (100.0, "x 1e-2"), "ms-ssim": (100.0, "x 1e-2")}.get(
        protocol.quantity, (1.0, "")
    )


def _at(qp: int | None) -> str:
    return "" if qp is None else f", QP {qp}"


def _with_means(
    title: str, note: str, results: Sequence[ClipResult], columns: Sequence[_Column]
) -> Table:
    """A row a clip, a mean a class, and the mean of all; means are those of the clips' values."""
    rows: list[tuple[str, ...]] = []
    strong = set()
    numbers = [[[value(r) for value in c.values] for c in columns] for r in results]

    def add(group: str, name: str, row: Sequence[Sequence[float]]) -> None:
        rows.append((group, name, *(c.cell(n) for c, n in zip(columns, row, strict=True))))

    def add_mean(group: str, name: str, chosen: list[list[list[float]]]) -> None:
        strong.add(len(rows))
        add(group, name, [np.mean(cell, axis=0).tolist() for cell in zip(*chosen, strict=True)])

    pairs = zip(results, numbers, strict=True)
    for letter, group in itertools.groupby(pairs, key=lambda pair: pair[0].clip.group):
        clips = list(group)
        for r, row in clips:
            add(letter, r.clip.title, row)
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
    levels = tuple(functools.partial(_level, p.name, COMPRESSED) for p in protocols)
    forms = tuple("{:.2f}" if p.quantity == "psnr" else "{:.4f}" for p in protocols)
    names = " / ".join(p.name for p in protocols)
    columns = [_Column(f"{COMPRESSED} {names}", levels, forms)]
    units = [_unit(p) for p in protocols]
    signed = tuple("{:+.3f}" if p.quantity == "psnr" else "{:+.2f}" if unit else "{:+.4f}"
                   for p, (_, unit) in zip(protocols, units, strict=True))  # fmt: skip
    deltas = " / ".join(f"Δ{p.name} {unit}".strip()
                        for p, (_, unit) in zip(protocols, units, strict=True))  # fmt: skip
    for label in labels:
        gains = tuple(functools.partial(_gain, p.name, label, factor)
                      for p, (factor, _) in zip(protocols, units, strict=True))  # fmt: skip
        columns.append(_Column(f"{label} {deltas}", gains, signed))
    note = "Means over all frames of a clip; averages are means of the clips' means. " + " ".join(
        f"{p.name}: {p.description}." for p in protocols
    )
    return _with_means(f"Gain{_at(qp)}", note, results, columns)


def fluctuation_table(
    results: Sequence[ClipResult], labels: Sequence[str], protocol: Protocol, qp: int | None
) -> Table:
    """Peak-valley difference and standard deviation over frames (RFDA Table 3)."""
    columns = []
    for label in (COMPRESSED, *labels):
        values = tuple(functools.partial(_fluctuation, protocol.name, label, of)
                       for of in (peak_valley_difference, standard_deviation))  # fmt: skip
        columns.append(_Column(f"{label} PVD / SD", values, ("{:.2f}", "{:.2f}")))
    note = (
        f"Peak-valley difference and standard deviation of {protocol.name} over the frames of a "
        "clip, in dB; smaller is steadier."
    )
    return _with_means(f"Fluctuation{_at(qp)}", note, results, columns)


def clip_metric_table(
    results: Sequence[ClipResult],
    labels: Sequence[str],
    metrics: Sequence[ClipMetric],
    qp: int | None,
) -> Table:
    """Metrics that judge a clip as a whole; absolute values, as papers print them."""
    names = " / ".join(m.name for m in metrics)
    columns = [
        _Column(
            f"{label} {names}",
            tuple(functools.partial(_total, m.name, label) for m in metrics),
            ("{:.4g}",) * len(metrics),
        )
        for label in (COMPRESSED, *labels)
    ]
    note = " ".join(f"{m.name}: {m.description}." for m in metrics)
    return _with_means(f"Whole clips{_at(qp)}", note, results, columns)


def model_table(results: Sequence[ClipResult], subjects: Sequence[Subject]) -> Table:
    """Parameters and measured speed of each model (RFDA Table 2)."""
    sizes = sorted({(r.clip.height, r.clip.width) for r in results})
    header = ("model", "parameters", "trained at QP", *(f"fps at {w}x{h}" for h, w in sizes))
    rows = []
    for s in subjects:
        qps = sorted({qp for f in s.files for qp in f.qp})
        fps = [
            np.mean([r.speed[s.label] for r in results if (r.clip.height, r.clip.width) == size])
            for size in sizes
        ]
        cells = (f"{v:.3g}" for v in fps)
        rows.append((s.label, f"{s.parameters:,}", " ".join(map(str, qps)) or "?", *cells))
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
        _Column(
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
    return _with_means("Rate-distortion", note, [clips[0] for clips in full], columns)


def _deltas(clips: list[ClipResult], labels: Sequence[str], protocol: Protocol) -> list[float]:
    rates = [r.clip.kbps for r in clips]

    def curve(column: str) -> list[float]:
        return [_level(protocol.name, column, r) for r in clips]

    anchor = curve(COMPRESSED)
    found = []
    for label in labels:
        for delta in (bd_rate, bd_psnr):
            try:
                found.append(delta(rates, anchor, rates, curve(label)))
            except UserError:  # curves that share no PSNR have no delta; the rest stands
                found.append(math.nan)
    return found
