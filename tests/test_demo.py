"""README's first command, from photographs to an enhanced file, at toy size."""

import io
import json

import pytest
from rich.console import Console

from vqe_jax import demo
from vqe_jax.video import open_reader
from vqe_jax.weights import load_model

TOY = {"clips": 2, "val_clips": 1, "length": 6, "width": 64, "height": 64, "quiet": True}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    pytest.importorskip("skimage")
    folder = tmp_path_factory.mktemp("demo")
    told = io.StringIO()
    demo.run(folder, steps=2, console=Console(file=told, width=200), **TOY)
    return folder, told.getvalue()


def test_it_ends_with_what_was_gained_and_where_things_are(finished):
    folder, told = finished
    for heading in ("1 of 4", "2 of 4", "3 of 4", "4 of 4", "gained over the compressed input"):
        assert heading in told
    rows = [line.split() for line in told.splitlines() if "dB" in line]
    assert [row[1] for row in rows] == ["trained", "packaged"]
    report = json.loads((folder / "report" / "report.json").read_text())
    assert str(folder / "enhanced.mkv") in told and report


def test_what_it_leaves_can_be_used(finished):
    folder, _ = finished
    assert load_model(folder / "run").model == "vig"
    with open_reader(folder / "enhanced.mkv") as enhanced:
        assert (enhanced.info.width, enhanced.info.height) == (64, 64)
        assert sum(1 for _ in enhanced) == 6


def test_what_is_done_is_not_done_again(finished):
    folder, _ = finished
    before = (folder / "run" / "best.safetensors").stat().st_mtime_ns
    demo.run(folder, steps=2, console=Console(file=io.StringIO()), **TOY)
    assert (folder / "run" / "best.safetensors").stat().st_mtime_ns == before
