"""Every example runs, at toy size, and does what it says."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from vqe_jax import losses, models

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch):
    """Imports an example as ``python examples/NAME.py`` finds its neighbors."""
    monkeypatch.syspath_prepend(EXAMPLES)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (EXAMPLES / f"{name}.py").is_file():
            del sys.modules[name]


def test_frames_api(example):
    at_once, changes = example("frames_api").main()
    assert at_once.shape == (6, 48, 64, 1) and at_once.dtype == np.float32
    assert all(0.1 < change < 20 for change in changes)


def test_convert_weights(example, tmp_path):
    assert example("convert_weights").main(tmp_path / "converted.safetensors")
    assert (tmp_path / "converted.safetensors").stat().st_size > 1000


def test_own_data(example, tmp_path):
    pairs = example("own_data").main(tmp_path, clips=1, length=4, workers=1, quiet=True)
    (pair,) = pairs
    raw = pair.read("raw", "luma", 0, 1).astype(float)
    change = np.abs(pair.read("compressed", "luma", 0, 1) - raw).mean()
    assert pair.name == "wave0" and len(pair) == 4 and 0.2 < change < 30


SIZE = {"clips": 1, "val_clips": 1, "length": 6, "width": 64, "height": 64}
QUIET = {"workers": 1, "quiet": True}


@pytest.fixture
def unregistered():
    yield
    for name in ("plain", "gated"):
        models.unregister(name)
    losses.LOSSES.unregister("total_variation")


def test_own_network(example, unregistered, tmp_path, capsys):
    outcome = example("own_network").main(tmp_path, steps=2, crop=32, **SIZE, **QUIET)
    assert outcome.finished and outcome.step == 2
    assert "an enhanced clip is (4, 48, 64, 1)" in capsys.readouterr().out


def test_own_loss(example, unregistered, tmp_path):
    outcome = example("own_loss").main(tmp_path, steps=2, crop=32, **SIZE, **QUIET)
    assert outcome.finished
    lines = (tmp_path / "run_own_loss" / "metrics.jsonl").read_text().splitlines()
    last = [r for r in map(json.loads, lines) if r["kind"] == "train"][-1]
    assert last["loss/log_cosh"] > 0 and last["loss/total_variation_gate"] > 0
    assert 0.09 < last["weight/total_variation_gate"] <= 0.1


def test_every_example_is_run_here():
    text = Path(__file__).read_text()
    names = {p.stem for p in EXAMPLES.glob("*.py")}
    assert names and all(f'example("{name}")' in text for name in names)
