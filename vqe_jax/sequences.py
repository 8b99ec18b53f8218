"""The common test sequences of JCT-VC: their classes, sizes and frame rates (JCTVC-L1100).

Eighteen of them are the test set of MFQE 2.0 and of nearly all later work; the tables of the
literature are ordered by their classes.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

__all__ = ["SEQUENCES", "Sequence", "find_sequence"]


@dataclasses.dataclass(frozen=True)
class Sequence:
    """A test sequence.

    Attributes:
      name: as the tables print it.
      group: its class, A to E.
      width: in pixels.
      height: in pixels.
      frames: in the file.
      frame_rate: frames per second.
    """

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
