"""The Colab notebook: its cells are Python, and its commands exist."""

import importlib
import json
import re
import shlex
from pathlib import Path

import pytest

from vqe_jax.evaluation.cli import parser as evaluation_parser

ROOT = Path(__file__).parents[1]
CELLS = [
    "".join(cell["source"])
    for cell in json.loads((ROOT / "docs" / "colab.ipynb").read_text())["cells"]
    if cell["cell_type"] == "code"
]
COMMANDS = [
    shlex.split(line.strip().removeprefix("!python "))
    for cell in CELLS
    for line in cell.splitlines()
    if line.strip().startswith("!python ")
]


def test_cells_are_python_apart_from_commands():
    for cell in CELLS:
        compile(re.sub(r"^( *)[!%].*$", r"\1pass", cell, flags=re.MULTILINE), "cell", "exec")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_exist(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    script, *arguments = command
    if script == "-m":
        module = Path(*arguments[0].split("."))
        assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()
        return
    assert Path(script).is_file()
    if script == "train.py":
        path, variant = arguments[arguments.index("--config") + 1].split(":")
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        assert module.get_config(variant).stages
    if script == "evaluate.py":
        given = evaluation_parser().parse_args(arguments)
        assert any(f"{given.out}/report.md" in cell for cell in CELLS)
