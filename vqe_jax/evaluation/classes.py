"""The classes of the JCT-VC test sequences, as the papers' tables are ordered by."""

from __future__ import annotations

import re

from vqe_jax.sequences import SEQUENCES

__all__ = ["CLASSES", "class_of", "plain_name", "table_order"]

CLASSES = {
    letter: tuple(s.name for s in SEQUENCES if s.group == letter)
    for letter in ("A", "B", "C", "D", "E")
}


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
      name: with or without size and length.
      width: in pixels; tells the two RaceHorses apart.

    Example:
      >>> class_of("RaceHorses_832x480_300", 832), class_of("RaceHorses", 416), class_of("cat", 64)
      ('C', 'D', '')
    """
    plain = plain_name(name).rstrip("1").lower()
    for letter, sequences in CLASSES.items():
        if plain in (s.lower() for s in sequences) and not (letter == "C" and width < 640):
            return letter
    return ""


def table_order(name: str, width: int) -> tuple[str, int, str]:
    """Sorts sequences as the papers list them, other clips after them by name."""
    letter = class_of(name, width)
    if not letter:
        return ("~", 0, name)
    names = [s.lower() for s in CLASSES[letter]]
    return (letter, names.index(plain_name(name).rstrip("1").lower()), name)
