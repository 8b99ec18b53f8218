"""Tables of papers with ours beside them: ``evaluate.py --tables ntire2021 powervqe``.

The published rows stand in ``published/*.json`` with their source. Values measured here share a
table with them where the clips are the paper's own; other clips have tables of the same form beside
it. What could not be measured is said in the notes, and its cells say why they are empty.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
import json
from collections.abc import Callable, Mapping, Sequence

from vqe_jax.evaluation.clips import ClipFacts
from vqe_jax.evaluation.measure import ClipResult
from vqe_jax.evaluation.models import EvalModel
from vqe_jax.evaluation.records import Values, clips_of, records_of, values_of
from vqe_jax.evaluation.tables import Table
from vqe_jax.registry import Registry

__all__ = ["PAPERS", "Evidence", "Paper", "read_published"]


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the tables are made of.

    Attributes:
      models: in the order to print.
      missing: metrics that cannot be measured here -> why.
    """

    results: Sequence[ClipResult]
    models: Sequence[EvalModel]
    missing: Mapping[str, str]
    environment: Mapping[str, str]

    @functools.cached_property
    def values(self) -> Values:
        """What was measured."""
        return values_of(records_of(self.results))

    @functools.cached_property
    def clips(self) -> list[ClipFacts]:
        """The facts of the clips, in the order of tables."""
        return clips_of(self.values)


@dataclasses.dataclass(frozen=True)
class Paper:
    """A paper whose tables can be printed."""

    metrics: Mapping[str, tuple[str, ...]]
    tables: Callable[[Evidence], list[Table]]


def read_published(name: str) -> dict[str, Table]:
    """The tables of a paper as they were published, by our name of each.

    Args:
      name: ``"ntire2021"`` or ``"powervqe"``.

    Example:
      >>> read_published("ntire2021")["track1"].rows[0][0]
      'BILIBILI AI & FDU'
    """
    file = importlib.resources.files("vqe_jax.evaluation") / "published" / f"{name}.json"
    found = json.loads(file.read_text(encoding="utf-8"))
    note = f"Published: {found['source']}; {found['note']}."
    return {
        key: Table(t["title"], note, tuple(t["header"]), tuple(map(tuple, t["rows"])))
        for key, t in found["tables"].items()
    }


PAPERS: Registry[Paper] = Registry(
    "tables",
    {name: f"vqe_jax.evaluation.{name}:PAPER" for name in ("ntire2021", "powervqe")},
    check=lambda x: isinstance(x, Paper),
    expected="a Paper",
)
