"""Reads the variants that a recipe's docstring lists."""

import ast
import importlib
import re
from pathlib import Path

CONFIGS = Path(__file__).parents[2] / "configs"


def docstring(name):
    return ast.get_docstring(ast.parse((CONFIGS / f"{name}.py").read_text()))


def get_config(name):
    return importlib.import_module(f"vqe_jax.recipes.{name}").get_config


def variants(name):
    """The first column below "Variants:": ``a, b``, ``ablation_a .. ablation_i``, ``key=PATH``."""
    section = re.search(r"^Variants:\n((?:  .*\n?)+)", docstring(name), re.MULTILINE)
    found = []
    for line in section[1].splitlines():
        if not (entry := re.match(r"  ([\w=]+(?:(?:, *| \.\. )[\w=]+)*)(?:,?$| )", line)):
            continue
        for part in re.split(r", *", entry[1]):
            first, _, last = part.partition(" .. ")
            ends = range(ord(first[-1]), ord(last[-1]) + 1) if last else ()
            found += [first[:-1] + chr(end) for end in ends] or [first]
    return found
