"""Every command line in the documents and at the top of the recipes is taken by its parser."""

import importlib
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from vqe_jax.data.__main__ import parser as data
from vqe_jax.errors import UserError
from vqe_jax.evaluation.cli import parser as evaluation
from vqe_jax.flags import Parser
from vqe_jax.inference.cli import parser as enhancing
from vqe_jax.training.cli import read_command
from vqe_jax.training.stage_inputs import parser as stage_inputs
from vqe_jax.weights.__main__ import parser as weights

ROOT = Path(__file__).parents[1]
TAKES = {
    "train.py": read_command,
    "evaluate.py": lambda arguments: evaluation().parse_args(arguments),
    "enhance.py": lambda arguments: enhancing().parse_args(arguments),
    "vqe_jax.data": lambda arguments: data().parse_args(arguments),
    "vqe_jax.weights": lambda arguments: weights().parse_args(arguments),
    "vqe_jax.training.stage_inputs": lambda arguments: stage_inputs().parse_args(arguments),
}
SCRIPTS = {f"vqe-{name}": f"{name}.py" for name in ("train", "evaluate", "enhance")}
SCRIPTS |= {"vqe-data": "vqe_jax.data"}


def _texts():
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        blocks = re.findall(r"^```[^\n]*\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        yield path.name, "\n".join(blocks)
    for path in sorted((ROOT / "configs").glob("*.py")):
        yield path.name, path.read_text().split('"""')[1]
    for cell in json.loads((ROOT / "docs" / "colab.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            yield "colab.ipynb", "".join(cell["source"]).replace("!python", "python")


def _commands():
    for name, text in _texts():
        for line in text.replace("\\\n", " ").splitlines():
            if re.match(r" *(python (-m )?[\w./]+|vqe-\w+)( |$)", line):
                yield pytest.param(shlex.split(line, comments=True), id=f"{name}: {line.strip()}")


@pytest.mark.parametrize("command", list(_commands()))
def test_commands_are_taken(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    if command[0] == "python":
        program, *arguments = command[2:] if command[1] == "-m" else command[1:]
    else:
        program, *arguments = [SCRIPTS[command[0]], *command[1:]]
    if program in TAKES:
        TAKES[program]([a for a in arguments if a != "--help"])
        return
    path = Path(program) if program.endswith(".py") else Path(*program.split("."))
    assert any(p.is_file() for p in (path, path.with_suffix(".py"), path / "__main__.py")), program


def test_there_are_commands_to_check():
    assert len(list(_commands())) > 30


def test_an_installation_has_the_commands_and_the_recipes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"].keys() == SCRIPTS.keys()
    for target in project["scripts"].values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))
    # One source of truth: setuptools follows the link and puts the files into the wheel.
    assert (ROOT / "vqe_jax" / "recipes").resolve() == ROOT / "configs"


def test_underscores_are_understood_as_hyphens():
    given = data().parse_args(["demo", "--data_dir", "a_b", "--val_clips=2", "--no_planes"])
    assert (given.data_dir, given.val_clips, given.planes) == ("a_b", 2, False)
    given = evaluation().parse_args(["my_model", "--config_name", "qp_a", "--self_ensemble"])
    assert (given.models, given.config_name, given.ensemble) == (["my_model"], ["qp_a"], "x8")


@pytest.mark.parametrize(
    ("parser", "arguments", "message"),
    [
        (data, ["demo", "--data-dri", "x"], "--data-dri is no option; did you mean '--data-dir'"),
        (data, ["dmeo"], "invalid choice: 'dmeo'"),
        (evaluation, ["--self_ensembel"], "--self-ensembel is no option.*'--self-ensemble'"),
        (evaluation, ["--tile", "big"], "argument --tile: invalid int value: 'big'"),
        (weights, ["convert", "vig"], "the following arguments are required: source, destination"),
    ],
)
def test_mistakes_are_one_line_with_the_near_miss(parser, arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        parser().parse_args(arguments)
    assert "\n" not in str(caught.value)


def test_help_writes_hyphens_only():
    for make in (data, evaluation, enhancing, stage_inputs, weights):
        made = make()
        parsers = [made]
        for action in made._actions:
            if isinstance(action.choices, dict):
                parsers += action.choices.values()
        assert all(isinstance(one, Parser) for one in parsers)
        flags = [f for one in parsers for action in one._actions for f in action.option_strings]
        assert flags and not [flag for flag in flags if "_" in flag]
