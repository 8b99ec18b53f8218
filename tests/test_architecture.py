"""The house's rules that can be checked: who may import whom, what every public name has."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vqe_jax"
DESIGN = PACKAGE.parent / "docs" / "design.md"


def _rows():
    """What may be imported by each room, as the table of docs/design.md says."""
    found = re.findall(r"^\| `(\w+)/` \|.*\| ([^|]*) \|$", DESIGN.read_text(), re.MULTILINE)
    rows = {room: cell.strip() for room, cell in found if (PACKAGE / room).is_dir()}
    for room, cell in rows.items():
        words = set(re.findall(r"\w+", cell.removeprefix("all but")))
        names = words & set(rows)
        yield room, set(rows) - names - {room} if cell.startswith("all but") else names


def _closure(direct):
    """A room may import what those may that stand in its row."""
    reach = {room: set(names) for room, names in direct.items()}
    for _ in reach:
        for names in reach.values():
            names |= set().union(*(reach[name] for name in set(names)))
    return reach


MAY_IMPORT = _closure(dict(_rows()))
# A signature that everybody knows, and a loss, whose options are keys of a recipe.
MANY_ARGUMENTS = ("deform_conv2d", "vgg_pyramid")
FILES = sorted(PACKAGE.rglob("*.py"))


def _room(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else None


def _imported_rooms(tree):
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "vqe_jax" and len(parts) > 1 and parts[1] in MAY_IMPORT:
                yield parts[1]


def test_the_table_names_every_room_and_its_floors():
    rooms = {p.parent.name for p in PACKAGE.glob("*/__init__.py")} - {"recipes"}
    assert set(MAY_IMPORT) == rooms
    assert MAY_IMPORT["ops"] == MAY_IMPORT["video"] == set()
    assert MAY_IMPORT["models"] == {"ops", "nn"}
    for room, names in MAY_IMPORT.items():
        assert room not in names and not any(room in MAY_IMPORT[name] for name in names), room


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_room_imports_only_what_stands_below_it(path):
    room = _room(path)
    if room is None:
        return
    strangers = set(_imported_rooms(ast.parse(path.read_text()))) - MAY_IMPORT[room] - {room}
    assert not strangers, f"{room} must not know {sorted(strangers)}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_public_names_are_documented_and_typed(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module opens with a docstring"
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        assert ast.get_docstring(node), f"{node.name} has no docstring"
        if isinstance(node, ast.FunctionDef):
            given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            bare = [a.arg for a in given if a.annotation is None]
            assert not bare and node.returns is not None, f"{node.name} is not typed: {bare}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name
            given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            count = len([a for a in given if a.arg not in ("self", "cls")])
            assert count <= 7 or node.name in MANY_ARGUMENTS, node.name


def test_importing_the_package_is_quick_and_touches_no_device():
    script = "import sys, vqe_jax; assert 'jax' not in sys.modules, 'import vqe_jax loads jax'"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_video_and_data_build_without_jax():
    script = "import sys, vqe_jax.video, vqe_jax.data; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_commands_are_short():
    for name in ("train.py", "evaluate.py", "enhance.py"):
        assert (PACKAGE.parent / name).read_text().count("\n") < 60
