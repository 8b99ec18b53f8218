"""docs/ntire2021.md says what the registry, the recipes and the files of results say."""

import importlib.util
from pathlib import Path

import pytest

from vqe_jax import models
from vqe_jax.models.shapes import parameter_count
from vqe_jax.training import recipes

SCRIPT = Path(__file__).parents[1] / "docs" / "ntire2021.py"
SPEC = importlib.util.spec_from_file_location("ntire2021", SCRIPT)
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)

FACTS = script.read("ntire2021.json")
GAINS = script.read("small_gains.json")
COUNTS = script.read("ntire2021_counts.json")
AGAIN = "run `python docs/ntire2021.py`"


def test_the_page_is_what_the_script_writes():
    assert script.PAGE.read_text(encoding="utf-8") == script.page(FACTS, GAINS, COUNTS), AGAIN


def test_seventeen_systems_of_sixteen_teams_and_four_baselines():
    teams = {row["team"].partition(", track")[0] for row in FACTS["systems"]}
    assert (len(FACTS["systems"]), len(teams), len(FACTS["baselines"])) == (17, 16, 4)
    for name, entries in zip(script.TRACKS, (12, 8, 11), strict=True):
        ranked = sorted(row[name] for row in FACTS["systems"] if name in row)
        assert [rank for rank, _ in ranked] == list(range(1, entries + 1))
        values = [value for _, value in ranked]
        assert values == sorted(values, reverse=True)
        assert min(values) > FACTS["unprocessed"][name]


@pytest.mark.parametrize("recipe", COUNTS)
def test_what_was_counted_is_what_the_recipe_builds(recipe):
    assert COUNTS[recipe]["model"] in models.names()
    assert recipes.load(recipe).model == COUNTS[recipe]["model"]
    assert script.fields_of(recipe) == COUNTS[recipe]["fields"], AGAIN


@pytest.mark.parametrize("recipe", ["arcnn:direct", "brnet", "qecnn", "dncnn"])
def test_counts_of_the_quick_ones(recipe):
    run = recipes.load(recipe)
    assert parameter_count(run.model, **run.model_kwargs) == COUNTS[recipe]["parameters"], AGAIN


def test_commands_of_small_variants_are_recipes():
    for network in script.networks(FACTS):
        name = script.recipe_of(network).partition(":")[0]
        if script.is_here(network):
            recipes.load(f"{name}:{network.get('small', 'small')}")
    for name, found in GAINS.items():
        assert found["command"].endswith(f"configs/{name}.py:small")
        assert found["steps"] <= sum(stage.steps for stage in recipes.load(f"{name}:small").stages)


@pytest.mark.parametrize("name", ["ovqe", "stdr", "cfstif", "provqe", "basicvsrpp"])
def test_results_tell_the_small_gains_as_measured(name):
    text = (SCRIPT.parent / "results.md").read_text(encoding="utf-8")
    (row,) = (line for line in text.splitlines() if line.startswith(f"| `{name}`"))
    told = row.rsplit("|", 2)[1].strip()
    gain = f"{GAINS[name]['gain']:+.3f} dB" if name in GAINS else "not measured yet"
    assert told.startswith(gain)


def test_a_network_that_is_not_registered_is_in_the_making():
    absent = {"model": "not_yet"}
    assert not script.is_here(absent)
    row = {"team": "T", "did": "d", "open": "o", "networks": [absent], "track1": [1, 31.5]}
    assert script.line(row, COUNTS, GAINS) == (
        "| T | d | `not_yet`: in the making | - / - | o | not measured yet "
        "| 1. 31.50 / data not at hand | - | - |"
    )
