"""The tables of a report, as the papers print them: records, grouped."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.evaluation.clips import ClipFacts
from vqe_jax.evaluation.measure import COMPRESSED
from vqe_jax.evaluation.metrics import ClipMetric, Metrics
from vqe_jax.evaluation.models import EvalModel
from vqe_jax.evaluation.records import NONE, PVD, SD, SECONDS, Values, clips_of, mean_text
from vqe_jax.metrics import Protocol, bd_psnr, bd_rate
from vqe_jax.sequences import table_order

__all__ = [
    "Column",
    "Entry",
    "Table",
    "all_tables",
    "at_qp",
    "by_qp",
    "clip_metric_table",
    "fluctuation_table",
    "gain_table",
    "model_table",
    "rate_table",
    "with_means",
]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A number of a cell.

    Attributes:
      label: of the model, or ``"compressed"``.
      over: the label whose value is subtracted; None: none.
    """

    label: str
    metric: str
    form: str
    over: str | None = None
    factor: float = 1.0

    def of(self, values: Values, clip: ClipFacts) -> float | None:
        """Its value on a clip; None where it was not measured."""
        found = values.get((clip, self.label, self.metric))
        base = 0.0 if self.over is None else values.get((clip, self.over, self.metric))
        return None if found is None or base is None else self.factor * (found - base)

    def text(self, values: Values, clips: Iterable[ClipFacts]) -> str:
        """The mean over clips, printed."""
        return mean_text([self.of(values, clip) for clip in clips], self.form)


@dataclasses.dataclass(frozen=True)
class Column:
    """Values that stand in one cell behind each other, as the papers print PSNR / SSIM."""

    header: str
    entries: tuple[Entry, ...]

    def cell(self, values: Values, clips: Sequence[ClipFacts]) -> str:
        """The means over some clips."""
        return " / ".join(entry.text(values, clips) for entry in self.entries)


@dataclasses.dataclass(frozen=True)
class Table:
    """Text in rows and columns.

    Attributes:
      note: what the numbers are; a sentence or two.
      rows: cells; as many as the header has.
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


def by_qp(values: Values) -> list[list[ClipFacts]]:
    """The clips of each QP, in the order of the records."""
    return [list(group) for _, group in itertools.groupby(clips_of(values), key=lambda c: c.qp)]


def at_qp(clips: Sequence[ClipFacts]) -> str:
    """The end of the title of a table of clips of one QP."""
    return "" if clips[0].qp is None else f", QP {clips[0].qp}"


def all_tables(values: Values, models: Sequence[EvalModel], metrics: Metrics) -> list[Table]:
    """The tables of gains: gains and fluctuation for each QP, whole clips, models, rates."""
    labels = [m.label for m in models]
    psnrs = [p for p in metrics.frames if p.quantity == "psnr"][:1]
    tables = []
    for clips in by_qp(values):
        tables.append(gain_table(values, clips, labels, metrics.frames))
        tables += [fluctuation_table(values, clips, labels, p) for p in psnrs]
        if metrics.clips:
            tables.append(clip_metric_table(values, clips, labels, metrics.clips))
    tables.append(model_table(values, models))
    rates = [rate_table(values, labels, p) for p in psnrs]
    return tables + [table for table in rates if table is not None]


def with_means(
    title: str, note: str, values: Values, clips: Sequence[ClipFacts], columns: Sequence[Column]
) -> Table:
    """A row a clip, a mean a class, and the mean of all; means are those of the clips' values.

    Args:
      clips: in the order to print.
    """
    groups: list[tuple[str, str, Sequence[ClipFacts]]] = []
    for letter, found in itertools.groupby(clips, key=lambda c: c.group):
        members = list(found)
        groups += [(letter, clip.title, [clip]) for clip in members]
        if letter and len(members) > 1:
            groups.append((letter, "mean", members))
    groups.append(("", f"average of {len(clips)}", clips))
    rows = [(letter, name, *(c.cell(values, of) for c in columns)) for letter, name, of in groups]
    strong = frozenset(
        i for i, (_, name, _) in enumerate(groups) if name == "mean" or i == len(groups) - 1
    )
    header = ("class", "sequence", *(c.header for c in columns))
    if not any(clip.group for clip in clips):
        header, rows = header[1:], [row[1:] for row in rows]
    return Table(title, note, header, tuple(rows), strong)


# Factor and name that the papers print a metric's gain in, and how.
_UNITS = {
    "psnr": (1.0, "dB", "{:+.3f}"),
    "ssim": (100.0, "x 1e-2", "{:+.2f}"),
    "ms-ssim": (100.0, "x 1e-2", "{:+.2f}"),
}


def gain_table(
    values: Values,
    clips: Sequence[ClipFacts],
    labels: Sequence[str],
    protocols: Sequence[Protocol],
) -> Table:
    """The compressed clips and what each model adds (RFDA Table 1, STDF Table 1).

    Args:
      clips: of one QP, in the order to print.
    """
    levels = tuple(
        Entry(COMPRESSED, p.name, "{:.2f}" if p.quantity == "psnr" else "{:.4f}") for p in protocols
    )
    columns = [Column(f"{COMPRESSED} " + " / ".join(p.name for p in protocols), levels)]
    units = [_UNITS.get(p.quantity, (1.0, "", "{:+.4f}")) for p in protocols]
    pairs = list(zip(protocols, units, strict=True))
    deltas = " / ".join(f"Δ{p.name} {unit}".strip() for p, (_, unit, _) in pairs)
    for label in labels:
        gains = tuple(
            Entry(label, p.name, form, over=COMPRESSED, factor=factor)
            for p, (factor, _, form) in pairs
        )
        columns.append(Column(f"{label} {deltas}", gains))
    note = "Means over all frames of a clip; averages are means of the clips' means. " + " ".join(
        f"{p.name}: {p.description}." for p in protocols
    )
    return with_means(f"Gain{at_qp(clips)}", note, values, clips, columns)


def fluctuation_table(
    values: Values, clips: Sequence[ClipFacts], labels: Sequence[str], protocol: Protocol
) -> Table:
    """Peak-valley difference and standard deviation over frames (RFDA Table 3)."""
    columns = [
        Column(
            f"{label} PVD / SD",
            tuple(Entry(label, f"{protocol.name} {of}", "{:.2f}") for of in (PVD, SD)),
        )
        for label in (COMPRESSED, *labels)
    ]
    note = (
        f"Peak-valley difference and standard deviation of {protocol.name} over the frames of a "
        "clip, in dB; smaller is steadier."
    )
    return with_means(f"Fluctuation{at_qp(clips)}", note, values, clips, columns)


def clip_metric_table(
    values: Values,
    clips: Sequence[ClipFacts],
    labels: Sequence[str],
    metrics: Sequence[ClipMetric],
) -> Table:
    """Metrics of a clip as a whole; absolute values, as papers print them."""
    names = " / ".join(m.name for m in metrics)
    columns = [
        Column(f"{label} {names}", tuple(Entry(label, m.name, "{:.4g}") for m in metrics))
        for label in (COMPRESSED, *labels)
    ]
    note = " ".join(f"{m.name}: {m.description}." for m in metrics)
    return with_means(f"Whole clips{at_qp(clips)}", note, values, clips, columns)


def model_table(values: Values, models: Sequence[EvalModel]) -> Table:
    """Parameters and measured speed of each model (RFDA Table 2)."""
    clips = clips_of(values)
    sizes = sorted({(c.height, c.width) for c in clips})
    header = (
        "model",
        "parameters",
        "averaged",
        "trained at QP",
        *(f"fps at {w}x{h}" for h, w in sizes),
    )
    rows = []
    for m in models:
        qps = sorted({qp for choice in m.choices for qp in choice.qp})
        times = {c: values.get((c, m.label, SECONDS), math.nan) for c in clips}
        cells = [
            f"{np.mean([1 / times[c] for c in clips if (c.height, c.width) == size]):.3g}"
            for size in sizes
        ]
        said = m.ensemble_text or NONE
        rows.append((m.label, f"{m.parameters:,}", said, " ".join(map(str, qps)) or "?", *cells))
    note = "Frames per second of the enhancement alone: no decoding, no metrics, no compilation."
    return Table("Models", note, header, tuple(rows))


def rate_table(values: Values, labels: Sequence[str], protocol: Protocol) -> Table | None:
    """BD-rate and BD-PSNR against the compressed clips; None with fewer than four QPs."""
    by_clip: dict[tuple[str, int], list[ClipFacts]] = {}
    for clip in clips_of(values):
        by_clip.setdefault((clip.name, clip.width), []).append(clip)
    curves = [
        sorted(clips, key=lambda c: c.kbps)
        for _, clips in sorted(by_clip.items(), key=lambda item: table_order(*item[0]))
        if len({c.qp for c in clips}) >= 4 and all(c.kbps > 0 for c in clips)
    ]
    if not curves:
        return None
    deltas: dict[tuple[ClipFacts, str, str], float] = {}
    for curve, label in itertools.product(curves, labels):
        for name, delta in _deltas(values, curve, label, protocol.name).items():
            deltas[curve[0], label, name] = delta
    columns = [
        Column(
            f"{label} BD-rate % / BD-PSNR dB",
            (Entry(label, "BD-rate", "{:+.2f}"), Entry(label, "BD-PSNR", "{:+.3f}")),
        )
        for label in labels
    ]
    qps = sorted({c.qp for c in curves[0] if c.qp is not None})
    note = (
        f"Bjontegaard deltas of {protocol.name} against the compressed clip, cubic fit over "
        f"log10(rate), QPs {', '.join(map(str, qps))}; a negative rate is a saving."
    )
    return with_means("Rate-distortion", note, deltas, [curve[0] for curve in curves], columns)


def _deltas(
    values: Values, curve: Sequence[ClipFacts], label: str, metric: str
) -> dict[str, float]:
    rates = [c.kbps for c in curve]
    anchor, tested = (
        [v for c in curve if (v := values.get((c, column, metric))) is not None]
        for column in (COMPRESSED, label)
    )
    found = {}
    for name, delta in (("BD-rate", bd_rate), ("BD-PSNR", bd_psnr)):
        try:
            found[name] = delta(rates, anchor, rates, tested)
        except UserError:  # curves that share no PSNR have no delta; the rest stands
            found[name] = math.nan
    return found
