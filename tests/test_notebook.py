"""The Colab notebook: its cells are Python, and its commands exist."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CELLS = [
    "".join(cell["source"])
    for cell in json.loads((ROOT / "docs" / "colab.ipynb").read_text())["cells"]
    if cell["cell_type"] == "code"
]


def test_cells_are_python_apart_from_commands():
    for cell in CELLS:
        compile(re.sub(r"^( *)[!%].*$", r"\1pass", cell, flags=re.MULTILINE), "cell", "exec")


def test_reports_are_shown_where_they_are_written():
    for cell in CELLS:
        for out in re.findall(r"evaluate\.py .*--out (\S+)", cell):
            assert any(f"{out}/report.md" in other for other in CELLS)
