"""The common test sequences of JCT-VC: their classes, sizes and frame rates (JCTVC-L1100).

Eighteen of them are the test set of MFQE 2.0 and of nearly all later work; the tables of the
literature are ordered by their classes.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

__all__ = ["SEQUENCES", "Sequence", "class_of", "find_sequence", "plain_name", "table_order"]


@dataclasses.dataclass(frozen=True)
class Sequence:
    """A test sequence."""

    name: str
    group: str
    width: int
    height: int
    frames: int
    frame_rate: int

    @property
    def title(self) -> str:
        """Unique: two sequences are named RaceHorses."""
        return f"{self.name}_{self.width}x{self.height}_{self.frames}"


SEQUENCES = (
    Sequence("Traffic", "A", 2560, 1600, 150, 30),
    Sequence("PeopleOnStreet", "A", 2560, 1600, 150, 30),
    Sequence("Kimono", "B", 1920, 1080, 240, 24),
    Sequence("ParkScene", "B", 1920, 1080, 240, 24),
    Sequence("Cactus", "B", 1920, 1080, 500, 50),
    Sequence("BQTerrace", "B", 1920, 1080, 600, 60),
    Sequence("BasketballDrive", "B", 1920, 1080, 500, 50),
    Sequence("RaceHorses", "C", 832, 480, 300, 30),
    Sequence("BQMall", "C", 832, 480, 600, 60),
    Sequence("PartyScene", "C", 832, 480, 500, 50),
    Sequence("BasketballDrill", "C", 832, 480, 500, 50),
    Sequence("RaceHorses", "D", 416, 240, 300, 30),
    Sequence("BQSquare", "D", 416, 240, 600, 60),
    Sequence("BlowingBubbles", "D", 416, 240, 500, 50),
    Sequence("BasketballPass", "D", 416, 240, 500, 50),
    Sequence("FourPeople", "E", 1280, 720, 600, 60),
    Sequence("Johnny", "E", 1280, 720, 600, 60),
    Sequence("KristenAndSara", "E", 1280, 720, 600, 60),
)

# The files of JCT-VC say Kimono1 and RaceHorsesC.
_FILE = re.compile(r"(?P<name>[A-Za-z]+?)(?:1|C)?_(?P<width>\d+)x(?P<height>\d+)(?=_|$)")


def find_sequence(name: str | Path) -> Sequence | None:
    """The test sequence that a file's name speaks of, or None.

    Args:
      name: for example ``Kimono1_1920x1080_24.yuv`` or ``RaceHorses_416x240_300``.

    Example:
      >>> find_sequence("RaceHorsesC_832x480_30.yuv").group
      'C'
    """
    match = _FILE.match(Path(name).name)
    if match is None:
        return None
    key = match["name"], int(match["width"]), int(match["height"])
    return next((s for s in SEQUENCES if (s.name, s.width, s.height) == key), None)


def plain_name(name: str) -> str:
    """A sequence's name without size, frame rate and length.

    Example:
      >>> plain_name("BasketballPass_416x240_500"), plain_name("Kimono1_1920x1080_24")
      ('BasketballPass', 'Kimono1')
    """
    return re.sub(r"_\d+x\d+.*$", "", name)


def class_of(name: str, width: int) -> str:
    """The class of a sequence; empty for any other clip.

    Args:
      width: in pixels; tells the two RaceHorses apart.

    Example:
      >>> class_of("RaceHorses_832x480_300", 832), class_of("RaceHorses", 416), class_of("cat", 64)
      ('C', 'D', '')
    """
    found = _place(name, width)
    return "" if found is None else SEQUENCES[found].group


def table_order(name: str, width: int) -> tuple[str, int, str]:
    """Sorts sequences as the papers list them, other clips after them by name."""
    found = _place(name, width)
    return ("~", 0, name) if found is None else (SEQUENCES[found].group, found, name)


def _place(name: str, width: int) -> int | None:
    """Where a sequence stands in the table; narrow ones are not those of class C."""
    plain = plain_name(name).rstrip("1").lower()
    for i, sequence in enumerate(SEQUENCES):
        if plain == sequence.name.lower() and not (sequence.group == "C" and width < 640):
            return i
    return None
