"""Writes docs/ntire2021.md: every system of NTIRE 2021 beside the network here.

    python docs/ntire2021.py

Facts of the report stand in ntire2021.json, gains of the small variants in small_gains.json, both
by hand. What the registry and the recipes say (which networks exist, their published sizes) is kept
in ntire2021_counts.json, since tracing all of them takes minutes: a network is counted again when
its recipe's fields have changed, all of them with ``--all``.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from vqe_jax import models
from vqe_jax.models.shapes import parameter_count
from vqe_jax.training import recipes

HERE = Path(__file__).parent
PAGE, COUNTS = HERE / "ntire2021.md", HERE / "ntire2021_counts.json"
TRACKS = ("track1", "track2", "track3")
NO_DATA = "data not at hand"

INTRO = """\
# NTIRE 2021: all systems and ours

Written by `python docs/ntire2021.py` from the registry, the recipes and the files `ntire2021.json`,
`ntire2021_counts.json` and `small_gains.json` beside it: change those, not this page.

The challenge on quality enhancement of compressed video (Yang et al., CVPRW 2021) had three tracks
on the LDV videos: 1, HM at QP 37, by PSNR; 2, the same streams, by the opinion of viewers (MOS, 0
to 100); 3, x265 at 200 kbps, by PSNR. Sixteen teams are in its report; VIP&DJI entered two
networks, which makes seventeen systems. Four earlier networks were trained by the organizers.

- **Parameters**: ours at the size of the recipe, without computing anything; theirs from the
  released code, "-" where there is none or it was not counted.
- **Small**: what the narrow variant gains on the validation clips of the data set `demo`, in dB of
  PSNR in RGB at its best validation ({where}). It says that a recipe learns, not how systems
  compare.
- **Tracks**: rank and published value / ours, in dB (tracks 1 and 3) and MOS (track 2). Unprocessed
  videos have {track1:.2f} dB, {track2} and {track3:.2f} dB. "{no_data}": the LDV videos could not
  be had, so no recipe has been trained at its published size.

| team | what they did | ours | parameters, ours / theirs | left open by the text | small \
| track 1 | track 2 | track 3 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def read(name: str) -> Any:
    """One of the files beside this one."""
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def recipe_of(network: dict[str, Any]) -> str:
    """The recipe of the published size."""
    return str(network.get("recipe", network["model"]))


def is_here(network: dict[str, Any]) -> bool:
    """Whether a network is registered and has a recipe."""
    known = network["model"] in models.names()
    return known and recipe_of(network).partition(":")[0] in recipes.names()


def fields_of(recipe: str) -> dict[str, Any]:
    """The network's fields in a recipe, as JSON gives them back."""
    return dict(json.loads(json.dumps(recipes.load(recipe).model_kwargs, default=str)))


def counted(facts: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Parameters by recipe of all networks that are here.

    Args:
      facts: ntire2021.json.
      known: of an earlier call; what still has the same fields is taken from it.
    """
    counts = {}
    for network in networks(facts):
        if not is_here(network):
            continue
        recipe = recipe_of(network)
        fields = fields_of(recipe)
        old = known.get(recipe, {})
        if old.get("fields") != fields:
            run = recipes.load(recipe)
            parameters = parameter_count(run.model, **run.model_kwargs)
            old = {"model": run.model, "fields": fields, "parameters": parameters}
            print(recipe, parameters)
        counts[recipe] = old
    return counts


def networks(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Every network that the facts name."""
    return [n for row in facts["systems"] + facts["baselines"] for n in row["networks"]]


def headings(document: str) -> dict[str, str]:
    """A document's headings and the anchors that they get on GitHub."""
    text = (HERE / document).read_text(encoding="utf-8")
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {h: re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in found}


def section(row: dict[str, Any]) -> str:
    """Link to where the open choices of a system are told; empty while it is not written."""
    document, wanted = row.get("section", ("networks.md", f"`{row['networks'][0]['model']}`"))
    for heading, anchor in headings(document).items():
        if wanted in heading:
            return f" ([what was chosen]({document}#{anchor}))"
    return ""


def ours(network: dict[str, Any], counts: dict[str, Any]) -> str:
    """A network's file and recipe."""
    model, recipe = network["model"], recipe_of(network)
    if recipe not in counts:
        return f"`{model}`: in the making"
    name, _, variant = recipe.partition(":")
    told = f"`configs/{name}.py{':' + variant if variant else ''}`"
    return f"[`models/{model}.py`](../vqe_jax/models/{model}.py), {told}"


def parameters(network: dict[str, Any], counts: dict[str, Any]) -> str:
    """Both numbers of parameters."""
    found = counts.get(recipe_of(network))
    return " / ".join(
        "-" if n is None else f"{n:,}"
        for n in (found and found["parameters"], network.get("theirs"))
    )


def small(network: dict[str, Any], counts: dict[str, Any], gains: dict[str, Any]) -> str:
    """What the small variant gained, and how to see it again."""
    recipe = recipe_of(network)
    if recipe not in counts:
        return "not measured yet"
    name = recipe.partition(":")[0]
    found = gains.get(name)
    if found is None:
        command = f"python train.py --config configs/{name}.py:{network.get('small', 'small')}"
        return f"not measured yet: `{command}`"
    note = f" {found['note']}" if "note" in found else ""
    took = f", {found['seconds']} s" if found["seconds"] else ""
    return f"+{found['gain']:.3f} dB ({found['steps']:,} steps{note}{took}): `{found['command']}`"


def track(row: dict[str, Any], name: str) -> str:
    """Rank and published value of a system in a track, beside ours."""
    if name not in row:
        return "-"
    rank, value = row[name]
    told = f"{value:.2f}" if isinstance(value, float) else str(value)
    place = "" if rank is None else f"{rank}. "
    return f"{place}{told} / {row.get('ours', {}).get(name, NO_DATA)}"


def line(row: dict[str, Any], counts: dict[str, Any], gains: dict[str, Any]) -> str:
    """One row of the table."""
    each = row["networks"]
    cells = (
        row["team"],
        row["did"],
        "<br>".join(ours(n, counts) for n in each),
        "<br>".join(parameters(n, counts) for n in each),
        row["open"] + section(row),
        "<br>".join(small(n, counts, gains) for n in each),
        *(track(row, name) for name in TRACKS),
    )
    return "| " + " | ".join(cells) + " |"


def page(facts: dict[str, Any], gains: dict[str, Any], counts: dict[str, Any]) -> str:
    """The whole page."""
    where = "; ".join(sorted({f"{g['date']}, {g['machine']}" for g in gains.values()}))
    intro = INTRO.format(where=where, no_data=NO_DATA, **facts["unprocessed"])
    rows = facts["systems"] + facts["baselines"]
    return intro + "\n".join(line(row, counts, gains) for row in rows) + "\n"


def main(again: bool) -> None:
    """Counts what is new and writes the page."""
    facts = read("ntire2021.json")
    counts = counted(facts, read(COUNTS.name) if COUNTS.exists() and not again else {})
    COUNTS.write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(facts, read("small_gains.json"), counts), encoding="utf-8")


if __name__ == "__main__":
    main("--all" in sys.argv[1:])
