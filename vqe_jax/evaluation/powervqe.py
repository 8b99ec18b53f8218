"""PowerVQE's two tables (its README, section 2), ours and the published columns.

PSNR of RGB over the 15 test videos of LDV v2, the black first frame of video 002 left out; PSNR of
Y over the 16 sequences of MFQE 2.0's test set that are not 2560x1600. Models of RGB are compared by
the Y of their 8-bit RGB (BT.601), models of luma by their luma of 8 bits.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

import numpy as np

from vqe_jax.evaluation.measure import COMPRESSED, ClipResult
from vqe_jax.evaluation.papers import Evidence, Paper, read_published
from vqe_jax.evaluation.records import mean_text
from vqe_jax.evaluation.tables import Table

__all__ = ["PAPER", "tables"]

_LDV2 = re.compile(r"(ldv_?v?2/|\w+/ldv_?v?2)")
_BLACK = re.compile(r"(^|_)002$")  # video whose first frame is black
_Y = {"rgb": "psnr_y_of_rgb", "luma": "psnr_y_uint8"}


def tables(evidence: Evidence) -> list[Table]:
    """Both tables."""
    published = read_published("powervqe")
    return [_rgb(evidence, published["rgb"]), _luma(evidence, published["luma"])]


def _mean(result: ClipResult, metric: str, label: str) -> float | None:
    series = result.values.get(metric, {}).get(label)
    if series is None:
        return None
    skip = 1 if _LDV2.match(result.clip.origin) and _BLACK.search(result.clip.name) else 0
    return float(series[skip:].mean(dtype=np.float64)) if len(series) > skip else None


def _beside(
    published: Table, evidence: Evidence, note: str, cell: Callable[[str, str], str]
) -> Table:
    """The published columns, then ours; ``cell`` takes a row's name and a label."""
    labels = [COMPRESSED, *(m.label for m in evidence.models)]
    rows = [(*row, *(cell(row[0], label) for label in labels)) for row in published.rows]
    return dataclasses.replace(
        published,
        title=f"PowerVQE, {published.title}",
        note=f"{note} {published.note}",
        header=(*published.header, *(f"{label} (here)" for label in labels)),
        rows=tuple(rows),
        strong=frozenset({len(rows) - 1}),
    )


def _rgb(evidence: Evidence, published: Table) -> Table:
    videos = [r for r in evidence.results if _LDV2.match(r.clip.origin)]
    note = f"Measured here on {len(videos)} of the 15 videos."
    if not videos:
        note = (
            "Nothing was measured on these videos: they need LDV v2's test set, built as "
            "python -m vqe_jax.data ldv_v2 --source FOLDER --partial, then --dataset ldv_v2 "
            "--config-name qp37 --split test."
        )
    return _beside(
        published, evidence, note, lambda _, label: _mean_of(videos, "psnr_rgb_uint8", label, 15)
    )


def _mean_of(results: Sequence[ClipResult], metric: str, label: str, expected: int) -> str:
    """The clips' mean, printed; with their number where it is not the published one."""
    text = mean_text([_mean(r, metric, label) for r in results], "{:.3f}")
    return f"{text} (of {len(results)})" if results and 0 < expected != len(results) else text


def _luma(evidence: Evidence, published: Table) -> Table:
    metric = _Y[evidence.models[0].color]
    named: dict[str, list[ClipResult]] = {}
    for r in evidence.results:
        if r.clip.group in ("B", "C", "D", "E") and r.clip.qp in (37, None):
            named.setdefault(_row_name(r), []).append(r)
    names = [row[0] for row in published.rows[:-1]]
    measured = [name for name in names if name in named]
    note = f"{metric} measured here on {len(measured)} of the 16 sequences at QP 37."
    if not measured:
        note = (
            "Nothing was measured on these sequences: they need JCT-VC's (python -m vqe_jax.data "
            "jct_vc --source FOLDER --qp 37, then --dataset jct_vc --config-name qp37 --split "
            "test)."
        )
    elif len(measured) < len(names):
        note += f" Not here: {', '.join(n for n in names if n not in named)}."

    def cell(name: str, label: str) -> str:
        if name == published.rows[-1][0]:
            return _mean_of([r for m in measured for r in named[m]], metric, label, len(names))
        return _mean_of(named.get(name, []), metric, label, 0)

    return _beside(published, evidence, note, cell)


def _row_name(result: ClipResult) -> str:
    """As the published table has it: Kimono of Kimono1, and which RaceHorses."""
    name = result.clip.title.removesuffix("1")
    if name.startswith("RaceHorses"):
        return f"RaceHorses ({result.clip.group})"
    return name


PAPER = Paper(
    {model: ("psnr_rgb_uint8", metric) for model, metric in _Y.items()},
    tables,
)
