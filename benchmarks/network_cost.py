"""Lines that a network costs beside its paper's layers, counted from the files.

  python benchmarks/network_cost.py [NETWORK ...]

Of a network's file, what makes layers is the paper's, and so are its fields; the rest (docstrings,
imports, checks, the context) is the contract. Added are its official names, its recipe, and its
rows in the README and in the tables of networks, names, parity and properties.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import statistics
from pathlib import Path

from vqe_jax import models
from vqe_jax.errors import run_cli
from vqe_jax.flags import Parser

ROOT = Path(__file__).parents[1]
_CONTRACT = {"__post_init__", "context", "sweeps"}  # methods that say what the network is
# Where a network has a row: the file, and what a row begins with.
_TABLES = {
    "vqe_jax/models/__init__.py": r'^\s+"{name}": "vqe_jax',
    "vqe_jax/weights/official/__init__.py": r'^\s+"?{name}"?(:.*)?,$',
    "tests/models/test_parity.py": r'^\s+(Row\()?"{name}",',
    "tests/models/test_properties.py": r'^\s+"{name}": ',
    "README.md": r"^\| `{name}` ",
}


def own_lines(source: str, network: str) -> tuple[int, int]:
    """Lines of a network's file that make layers (modules, functions, methods), and its fields."""
    layers = fields = 0
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == network:
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            layers += sum(_length(m) for m in methods if m.name not in _CONTRACT)
            fields += sum(isinstance(n, ast.AnnAssign) for n in node.body)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            layers += _length(node)
    return layers, fields


def _length(node: ast.FunctionDef | ast.ClassDef) -> int:
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return (node.end_lineno or first) - first + 1


def row_lines(name: str) -> int:
    """Lines of its rows in the tables; of a row over several lines all."""
    return sum(
        _row(ROOT / path, pattern.format(name=re.escape(name))) for path, pattern in _TABLES.items()
    )


def _row(path: Path, pattern: str) -> int:
    lines, total = path.read_text().splitlines(), 0
    for number, line in enumerate(lines):
        if not re.search(pattern, line):
            continue
        total += 1
        depth = _open(line)
        if depth == 0 and number and lines[number - 1].strip() == "Row(":
            depth, total = 1, total + 1
        for more in lines[number + 1 :]:
            if depth <= 0:
                break
            depth, total = depth + _open(more), total + 1
    return total


def _open(line: str) -> int:
    return sum(map(line.count, "([{")) - sum(map(line.count, ")]}"))


def cost(name: str) -> tuple[int, ...]:
    """Lines of layers, fields, contract, official names, recipe and rows."""
    cls = models.model_class(name)
    source = Path(str(inspect.getsourcefile(cls))).read_text()
    layers, fields = own_lines(source, cls.__name__)
    contract = len(source.splitlines()) - layers - fields
    official = importlib.import_module("vqe_jax.weights.official").OFFICIAL.get(name)
    parts = [Path(official.__file__)] if official and official.__name__.endswith(name) else []
    recipe = ROOT / "configs" / f"{name}.py"
    names = sum(len(p.read_text().splitlines()) for p in parts)
    config = len(recipe.read_text().splitlines()) if recipe.is_file() else 0
    return layers, fields, contract, names, config, row_lines(name)


def main() -> int:
    """Prints a row a network and the medians."""
    parser = Parser(description=__doc__)
    parser.add_argument("networks", nargs="*", help="all, if none is named")
    chosen = parser.parse_args().networks
    print("| network | layers | fields | contract | names | recipe | rows | beside the paper's |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    beside = []
    for name in chosen or models.names():
        lines = cost(name)
        beside.append(sum(lines[2:]))
        print(f"| `{name}` | {' | '.join(map(str, lines))} | {beside[-1]} |")
    print(f"\nmedian beside layers and fields: {statistics.median(beside):g} lines")
    return 0


if __name__ == "__main__":
    run_cli(main)
