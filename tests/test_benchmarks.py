"""The table of benchmarks/README.md is made of the records beside it."""

import argparse
import types
from pathlib import Path

import numpy as np
import pytest

from benchmarks import astf_second_stage, bf16_loss
from benchmarks.model_records import Race, append, read, rewrite, row, table
from benchmarks.races import Times, race
from vqe_jax import models

FOLDER = Path(__file__).parents[1] / "benchmarks"
FRAME = Race("a", "frame", "2 x 8x8", 1234, "2026-11-28", Times(3.0, 4.0), Times(6.0, 5.0), "> 9 s")
STEP = Race(
    "a", "step", "1 x 8x8", 99, "2026-11-28", Times(1.0, 1.0), Times(4.0, 2.0), None, {"k": 3}, 9.5
)


def test_readme_has_what_was_measured():
    page = (FOLDER / "README.md").read_text("utf-8")
    assert rewrite(page, FOLDER) == page


@pytest.mark.parametrize("records", sorted(p.name for p in FOLDER.glob("models*.jsonl")))
def test_records_are_of_registered_networks(records):
    assert {name for name, _ in read(FOLDER / records)} <= set(models.names())


def test_row_says_ratios_and_what_differs():
    assert row(FRAME, STEP) == (
        "| a | 1,234 | 2 x 8x8 | - | 3.0 | 6.0 | > 9 s | 0.50 (0.80) | -"
        " | 1 x 8x8, k=3 (99 parameters) | 9.5 | 1.0 | 4.0 | 0.25 (0.50) |"
    )
    assert row(FRAME, None).endswith("| - | - | - | - | - | - |")
    told = row(FRAME._replace(ours="needs 31 GiB", compiled=None), None)
    assert " | needs 31 GiB | 6.0 | - | - | - | " in told
    with pytest.raises(ValueError, match="race"):
        row(None, None)


def test_the_last_race_counts(tmp_path):
    path = tmp_path / "races.jsonl"
    assert read(path) == {}
    again = FRAME._replace(compiled=Times(1.5, 8.0))
    for one in (FRAME, STEP, again):
        append(path, one)
    assert read(path) == {("a", "frame"): again, ("a", "step"): STEP}
    assert table(read(path)).splitlines()[2].count("1.5 | 0.50 (0.80) | 2.00 (0.50)") == 1


def test_columns_that_no_race_fills_are_left_out():
    alone = table({("a", "frame"): FRAME._replace(eager=None, compiled=None)})
    heads, rule, line = alone.splitlines()
    assert heads == "| network | parameters | clip | ms a frame: ours |"
    assert (rule, line) == ("|---|---|---|---|", "| a | 1,234 | 2 x 8x8 | 3.0 (4.0) |")


def test_contenders_of_a_race_take_turns():
    order: list[str] = []
    found = race({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2)
    assert "".join(order) == "ab" + 2 * "ab"  # the first calls are not counted
    assert found.keys() == {"a", "b"} and all(t.wall >= 0 for t in found.values())
    race({"c": lambda: order.append("c")}, 0)
    assert order.count("c") == 1


@pytest.mark.parametrize("trains_on", ["compressed", "stage1"])
def test_both_second_stages_of_astf_train_the_network_that_is_timed(trains_on):
    given = argparse.Namespace(features=4, blocks=1)
    network = astf_second_stage._network(given, trains_on)
    assert (network.output, network.trains_on) == ("enhance2", trains_on)


@pytest.mark.parametrize(("known", "told"), [(37, 37), (-1, None)])
def test_loss_in_bfloat16_is_measured_of_streams_without_a_qp_too(monkeypatch, known, told):
    codes = {"raw": np.full((2, 4, 4), 100, np.uint8), "compressed": np.full((2, 4, 4), 110)}
    pair = types.SimpleNamespace(qp=known, read=lambda side, *_: codes[side])

    def enhance(clip, *, model, qp):
        assert qp == told
        return clip + np.float32(model)

    monkeypatch.setattr(bf16_loss, "enhance", enhance)
    before, full, half, lost = bf16_loss.levels(pair, [-9 / 255, -8 / 255], 2)
    assert full - before == pytest.approx(20, abs=0.01)  # a tenth of the error
    assert lost == full - half == pytest.approx(6.02, abs=0.01)
