"""Cards of packaged models: what each is for, how it was made, and what was measured of it.

A card is a JSON file beside the weights, ``packaged/NAME.json``. What people know ("about") is
written by hand; what is measured ("measured") by ``python benchmarks/card.py NAME``, one row a
stream. Tables are made of the rows when they are shown, and the page ``docs/models.md`` of all
cards by ``python -m vqe_jax.weights cards docs/models.md``.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vqe_jax.errors import UserError
from vqe_jax.weights.model_file import load_model, packaged_models

__all__ = ["ABOUT", "Card", "cards_page", "read_card", "stream_group"]

# What the hand-written part says, with the words of the page.
ABOUT = {
    "purpose": "for",
    "command": "trained by",
    "data": "data",
    "steps": "steps",
    "hardware": "hardware",
    "date": "date",
}

_Row = Mapping[str, Any]
# Encoder of a row -> how its family is called; the order is the tables'.
_FAMILIES = {
    "low_delay_p": "x265 low-delay P, as HM",
    "kvazaar": "kvazaar low-delay P",
    "x265": "x265",
    "x264": "x264",
    "mpeg2": "MPEG-2",
    "mpeg4": "MPEG-4",
    "vp9": "VP9",
    "svt_av1": "SVT-AV1",
}
# CRF and QP up to which x264 and x265 are called good; of the low-delay recipes, QP.
_GOOD, _GOOD_LOW_DELAY = 27, 32


@dataclasses.dataclass(frozen=True)
class Card:
    """A card.

    Attributes:
      about: the hand-written part, by the keys of :data:`ABOUT`.
      measured: "streams", "clean", "long" (rows of dictionaries), "speed" and how they were
        measured; empty where nothing was.
      network: name and parameters, of the model file.
    """

    name: str
    about: Mapping[str, str]
    measured: Mapping[str, Any]
    network: str

    def groups(self) -> list[tuple[str, str, list[float]]]:
        """Codec, quality and the gains of its streams, in the tables' order."""
        found: dict[tuple[int, str, str], list[float]] = {}
        for row in self.measured.get("streams", ()):
            found.setdefault(stream_group(row), []).append(float(row["gain"]))
        return [(codec, quality, gains) for (_, codec, quality), gains in sorted(found.items())]

    def tables(self) -> list[tuple[str, list[list[str]]]]:
        """Title and rows (the first is the header) of each table that was measured."""
        made = [
            ("Gain in PSNR-Y of 8-bit files, dB", _gains(self.groups())),
            ("Clean input: PSNR-Y of the result against its input, dB", self._clean()),
            ("For the eye: change of LPIPS (AlexNet), flicker and PSNR in RGB", self._eyes()),
            ("Frames played back and forth: gain in dB", self._long()),
            ("Frames per second", self._speed()),
        ]
        return [(title, rows) for title, rows in made if len(rows) > 1]

    def _clean(self) -> list[list[str]]:
        rows = self.measured.get("clean", ())
        return [
            ["clip", "mean", "lowest frame", "pixels changed"],
            *(
                [r["clip"], f"{r['mean']:.1f}", f"{r['lowest']:.1f}", f"{r['changed']:.1%}"]
                for r in rows
            ),
        ]

    def _eyes(self) -> list[list[str]]:
        rows = self.measured.get("eyes", ())
        return [
            ["clip", "frames", "LPIPS before", "change", "flicker before", "after", "PSNR, dB"],
            *(
                [
                    r["clip"],
                    str(r["frames"]),
                    f"{r['lpips']:.4f}",
                    f"{r['lpips_change'] / r['lpips']:+.1%}",
                    f"{r['flicker']:.2f}",
                    f"{r['flicker'] + r['flicker_change']:.2f}",
                    f"{r['psnr_change']:+.3f}",
                ]
                for r in rows
            ),
        ]

    def _long(self) -> list[list[str]]:
        rows = self.measured.get("long", ())
        return [
            ["clip", "frames", "same frames first", "last 100", "drift", ""],
            *(
                [
                    r["clip"],
                    str(r["frames"]),
                    f"{r['first']:+.3f}",
                    f"{r['last']:+.3f}",
                    f"{r['drift']:+.4f}",
                    "flat" if r["flat"] else "DRIFTS",
                ]
                for r in rows
            ),
        ]

    def _speed(self) -> list[list[str]]:
        speed = self.measured.get("speed", {})
        return [
            ["size", "network alone", "file to file"],
            *([r["size"], f"{r['engine']:.2f}", f"{r['file']:.2f}"] for r in speed.get("rows", ())),
        ]

    def facts(self) -> list[tuple[str, str]]:
        """What is told in a line each."""
        lines = [(word, self.about[key]) for key, word in ABOUT.items() if self.about.get(key)]
        notes = [("network", self.network), *lines]
        if how := self.measured.get("command"):
            notes.append(("measured by", f"{how} ({self.measured.get('date', '')})"))
        if where := self.measured.get("speed", {}).get("machine"):
            notes.append(("speed on", where))
        return notes

    def text(self) -> str:
        """For the terminal."""
        blocks = [self.name, *(f"  {word:12} {line}" for word, line in self.facts())]
        for title, rows in self.tables():
            blocks += ["", f"  {title}", *_aligned(rows)]
        return "\n".join(blocks)

    def markdown(self) -> str:
        """For the page."""
        blocks = [f"## `{self.name}`", ""]
        blocks += [f"- {word}: {_code(word, line)}" for word, line in self.facts()]
        for title, (header, *rows) in self.tables():
            blocks += ["", f"{title}:", "", _piped(header), _piped(["---"] * len(header))]
            blocks += [_piped(row) for row in rows]
        return "\n".join(blocks) + "\n"


def stream_group(row: _Row) -> tuple[int, str, str]:
    """Where a stream's row stands in the tables: order, codec and quality.

    Args:
      row: with "encoder" and "quality", as a data set's pair has them (``"x265_crf"``,
        ``"crf 28"``).

    Example:
      >>> stream_group({"encoder": "x265_crf", "quality": "crf 20"})
      (2, 'x265', 'CRF or QP to 27')
    """
    encoder, quality = str(row["encoder"]), str(row["quality"])
    number = int(next(iter(re.findall(r"\d+", quality)), 0))
    names = list(_FAMILIES)
    family = next((n for n in names if encoder.startswith(n)), encoder)
    order = names.index(family) if family in names else len(names)
    title = _FAMILIES.get(family, family)
    if family in ("low_delay_p", "kvazaar"):
        good = number <= _GOOD_LOW_DELAY
        return order, title, f"QP to {_GOOD_LOW_DELAY}" if good else f"QP {_GOOD_LOW_DELAY + 1} up"
    if family in ("x264", "x265"):
        if "bits" in encoder:
            return order, title, "bit rate, two passes"
        return order, title, f"CRF or QP to {_GOOD}" if number <= _GOOD else f"{_GOOD + 1} up"
    return order, title, "all"


def read_card(name: str) -> Card:
    """The card of a packaged model; where it has none, what its file says.

    Raises:
      UserError: no such model, or a card that cannot be read.
    """
    path = card_path(name)
    file = load_model(name)
    count = sum(int(np.size(x)) for x in jax.tree.leaves(file.variables["params"]))
    network = f"{file.model}, {count:,} parameters, {file.color}"
    if not path.is_file():
        return Card(name, {"data": file.source}, {}, network)
    try:
        kept = json.loads(path.read_text())
        return Card(name, dict(kept["about"]), dict(kept["measured"]), network)
    except (OSError, ValueError, LookupError, TypeError) as err:
        raise UserError(f"card {path} cannot be read ({err})") from None


def card_path(name: str) -> Path:
    """Where the card of a packaged model is, or would be.

    Raises:
      UserError: no such model.
    """
    packaged = packaged_models()
    if name not in packaged:
        raise UserError(f"{name!r} is not packaged; there are {', '.join(packaged)}")
    return packaged[name].with_suffix(".json")


def cards_page() -> str:
    """The page of all cards, Markdown."""
    head = (
        "# Packaged models\n\n"
        "Written by `python -m vqe_jax.weights cards docs/models.md` from the cards beside the "
        "weights\n(`vqe_jax/weights/packaged/*.json`); `vqe-enhance models` prints the same. Gains "
        "are of what\n`enhance.py IN OUT --codec ffv1` writes, on streams of clips that no model "
        "was trained on: the mean over\nframes of PSNR-Y after minus before, at 8 bits.\n"
    )
    return "\n".join([head, *(read_card(name).markdown() for name in packaged_models())])


def _gains(groups: Sequence[tuple[str, str, list[float]]]) -> list[list[str]]:
    rows = [["codec", "quality", "streams", "mean", "worst"]]
    for codec, quality, gains in groups:
        rows.append([codec, quality, *_summary(gains)])
    everything = [gain for _, _, gains in groups for gain in gains]
    return [*rows, ["all", "", *_summary(everything)]] if everything else rows


def _summary(gains: Iterable[float]) -> list[str]:
    values = np.array(list(gains))
    return [str(values.size), f"{values.mean():+.3f}", f"{values.min():+.3f}"]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(word: str, line: str) -> str:
    return f"`{line}`" if word == "trained by" else line
