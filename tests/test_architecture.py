"""The house's rules that can be checked: who may import whom, what every public name has."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vqe_jax"
# A room may import itself and what stands in its row.
MAY_IMPORT = {
    "ops": set(),
    "nn": {"ops"},
    "models": {"ops", "nn"},
    "perceptual": {"ops", "nn"},
    "losses": {"ops", "nn", "perceptual"},
    "metrics": {"ops", "nn", "perceptual"},
    "video": set(),
    "weights": {"ops", "nn", "models", "perceptual"},
    "data": {"video"},
    "inference": {"ops", "models", "weights", "video"},
    "training": {
        "ops", "nn", "models", "perceptual", "losses", "metrics", "weights", "data", "inference",
        "video",
    },
    "evaluation": {
        "ops", "models", "perceptual", "metrics", "video", "data", "weights", "inference",
    },
}  # fmt: skip
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
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 80, node.name


def test_importing_the_package_is_quick_and_touches_no_device():
    script = (
        "import sys, time; start = time.perf_counter(); import vqe_jax; "
        "assert time.perf_counter() - start < 2; "
        "assert 'jax' not in sys.modules, 'import vqe_jax loads jax'"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_video_and_data_build_without_jax():
    script = "import sys, vqe_jax.video, vqe_jax.data; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_commands_are_short():
    for name in ("train.py", "evaluate.py", "enhance.py"):
        assert (PACKAGE.parent / name).read_text().count("\n") < 60
