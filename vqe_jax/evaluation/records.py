"""What was measured as records: one value of one metric, clip and model each.

Tables, ``report.json`` and pictures group the same records; nothing is measured or averaged twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vqe_jax.evaluation.clips import ClipFacts
from vqe_jax.evaluation.measure import ClipResult

__all__ = ["SECONDS", "Record", "Values", "clips_of", "mean_text", "records_of", "values_of"]

# The metric under which the time of a frame stands among the records.
SECONDS = "seconds a frame"

NONE = "-"


@dataclasses.dataclass(frozen=True)
class Record:
    """One value.

    Attributes:
      clip: what it was measured on.
      label: of the model, or ``"compressed"``.
      metric: its name.
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
        for metric, totals in r.totals.items():
            records += [Record(facts, label, metric, value) for label, value in totals.items()]
        records += [Record(facts, label, SECONDS, 1 / fps) for label, fps in r.speed.items()]
    return records


def values_of(records: Iterable[Record]) -> dict[tuple[ClipFacts, str, str], float]:
    """The records by what they are of."""
    return {(r.clip, r.label, r.metric): r.value for r in records}


def clips_of(records: Iterable[Record]) -> list[ClipFacts]:
    """The clips of records, in their order."""
    return list(dict.fromkeys(r.clip for r in records))


def mean_text(values: Sequence[float | None], form: str) -> str:
    """The mean of the clips that have a value, printed; a dash where none has.

    Args:
      values: one a clip.
      form: of ``str.format``.

    Example:
      >>> mean_text([1.0, None, 3.0], "{:.2f}"), mean_text([None], "{:.2f}")
      ('2.00', '-')
    """
    known = [v for v in values if v is not None]
    return form.format(float(np.mean(known))) if known else NONE
