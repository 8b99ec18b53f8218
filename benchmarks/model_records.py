"""What `benchmarks/models.py` measured: a JSON line a race, and the tables made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.races import Times

__all__ = ["HEADER", "Race", "append", "read", "rewrite", "row", "table"]

_HEADS = (
    "| network | parameters | clip | ours to compile, s | ms a frame: ours | PyTorch eager"
    " | compiled | ours / eager | ours / compiled | step: clip | ours to compile, s"
    " | ms a step: ours | PyTorch eager | ours / eager |"
)
HEADER = f"{_HEADS}\n{'|---' * 14}|"
_BEGIN = "<!-- of {name}, made by `python -m benchmarks.models --table` -->"
_END = "<!-- end -->"


class Race(NamedTuple):
    """One network on one clip, all sides in one process."""

    network: str
    part: str  # "frame": milliseconds of one; "step": of a training step on the clip
    clip: str
    parameters: int
    date: str
    ours: Times | str  # why it was not run
    eager: Times | None = None
    compiled: Times | str | None = None  # why there is none
    fields: dict[str, Any] | None = None  # other than the published network's
    compile_s: float | None = None  # seconds that ours took to compile, beside what ran then


def append(path: Path, race: Race) -> None:
    """Adds a line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(race._asdict()) + "\n")


def read(path: Path) -> dict[tuple[str, str], Race]:
    """By network and part; the last line counts."""
    if not path.exists():
        return {}
    races = [_race(json.loads(line)) for line in path.read_text("utf-8").splitlines()]
    return {(race.network, race.part): race for race in races}


def _race(line: dict[str, Any]) -> Race:
    times = {k: Times(*v) for k, v in line.items() if isinstance(v, list)}
    return Race(**(line | times))


def row(frame: Race | None, step: Race | None) -> str:
    """A line of the table."""
    cells = [*_cells(frame, ["eager", "compiled"]), *_cells(step, ["eager"])]
    shown = frame or step
    if shown is None:
        raise ValueError("a row needs a race")
    whole = f"{shown.parameters:,}" if not shown.fields else "-"
    return "| " + " | ".join((shown.network, whole, *cells)) + " |"


def table(races: dict[tuple[str, str], Race]) -> str:
    """Heads and rows, by name, without the columns that no race fills."""
    names = sorted({name for name, _ in races})
    rows = (_HEADS, *(row(races.get((n, "frame")), races.get((n, "step"))) for n in names))
    columns = zip(*(line.strip("| ").split(" | ") for line in rows), strict=True)
    filled = [cells for cells in columns if set(cells[1:]) != {"-"}]
    heads, *lines = (f"| {' | '.join(cells)} |" for cells in zip(*filled, strict=True))
    return "\n".join((heads, "|---" * len(filled) + "|", *lines))


def rewrite(page: str, folder: Path) -> str:
    """The page with the table of each file of records in the folder made anew.

    Args:
      page: which has a mark for each ``models*.jsonl``, and ends each table with another.
      folder: of the records.

    Returns:
      The page.
    """
    for records in sorted(folder.glob("models*.jsonl")):
        begin = _BEGIN.format(name=records.name)
        before, rest = page.split(begin)
        _, after = rest.split(_END, 1)
        page = f"{before}{begin}\n\n{table(read(records))}\n\n{_END}{after}"
    return page


def _cells(race: Race | None, others: Iterable[str]) -> list[str]:
    """Clip, time to compile, milliseconds of ours and the others, and ours to each of them."""
    if race is None:
        return ["-"] * (3 + 2 * len(list(others)))
    clip = race.clip
    if race.fields:
        told = ", ".join(f"{k}={v}" for k, v in race.fields.items())
        clip = f"{clip}, {told} ({race.parameters:,} parameters)"
    sides = [getattr(race, name) for name in others]
    times = [_time(side) for side in (race.ours, *sides)]
    if isinstance(race.ours, Times) and not any(sides):  # no ratio that says it
        times[0] += f" ({race.ours.processor:.1f})"
    compiling = "-" if race.compile_s is None else f"{race.compile_s:.1f}"
    return [clip, compiling, *times, *(_ratio(race.ours, side) for side in sides)]


def _time(side: Times | str | None) -> str:
    if isinstance(side, Times):
        return f"{side.wall:.1f}"
    return side or "-"


def _ratio(ours: Times | str, other: Times | str | None) -> str:
    """By the wall and, in brackets, by the processor."""
    if not (isinstance(ours, Times) and isinstance(other, Times)):
        return "-"
    return f"{ours.wall / other.wall:.2f} ({ours.processor / other.processor:.2f})"
