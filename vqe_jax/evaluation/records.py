"""What was measured as records: one value of one metric, clip and model each.

The tables, ``records.csv`` and ``report.json`` are made of the same records, so they cannot differ.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vqe_jax.evaluation.clips import ClipFacts
from vqe_jax.evaluation.measure import ClipResult
from vqe_jax.metrics import peak_valley_difference, standard_deviation

__all__ = [
    "NONE",
    "PVD",
    "SD",
    "SECONDS",
    "Record",
    "Values",
    "clips_of",
    "mean_text",
    "records_of",
    "values_of",
]

# The metric under which the time of a frame stands among the records.
SECONDS = "seconds a frame"
# What follows a metric's name where it is its fluctuation over frames.
PVD, SD = "PVD", "SD"
_FLUCTUATION = {PVD: peak_valley_difference, SD: standard_deviation}

NONE = "-"


@dataclasses.dataclass(frozen=True)
class Record:
    """One value.

    Attributes:
      label: of the model, or ``"compressed"``.
      value: of metrics of frames, the mean over the clip's frames.
    """

    clip: ClipFacts
    label: str
    metric: str
    value: float


# (clip, label, metric) -> value; without those that were not measured.
Values = Mapping[tuple[ClipFacts, str, str], float]


def records_of(results: Iterable[ClipResult]) -> list[Record]:
    """All values of all clips, by QP and then in the order of the papers' tables."""
    records: list[Record] = []
    for r in sorted(results, key=lambda r: r.clip.facts.order):
        facts = r.clip.facts
        for metric, columns in r.values.items():
            for label, values in columns.items():
                records.append(Record(facts, label, metric, float(values.mean(dtype=np.float64))))
                for name, of in _FLUCTUATION.items():
                    value = of(values.astype(np.float64))
                    records.append(Record(facts, label, f"{metric} {name}", value))
        for metric, totals in r.totals.items():
            records += [Record(facts, label, metric, value) for label, value in totals.items()]
        records += [Record(facts, label, SECONDS, 1 / fps) for label, fps in r.speed.items()]
    return records


def values_of(records: Iterable[Record]) -> dict[tuple[ClipFacts, str, str], float]:
    """The records by what they are of."""
    return {(r.clip, r.label, r.metric): r.value for r in records}


def clips_of(values: Values) -> list[ClipFacts]:
    """The clips that have values, in the order of their records."""
    return list(dict.fromkeys(clip for clip, _, _ in values))


def mean_text(values: Sequence[float | None], form: str) -> str:
    """The mean of the clips that have a value, printed; a dash where none has.

    Args:
      form: of ``str.format``.

    Example:
      >>> mean_text([1.0, None, 3.0], "{:.2f}"), mean_text([None], "{:.2f}")
      ('2.00', '-')
    """
    known = [v for v in values if v is not None]
    return form.format(float(np.mean(known))) if known else NONE
