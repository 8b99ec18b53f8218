"""``--config.key=value``: changing single keys of a run from the command line.

A key is any field of :class:`~vqe_jax.training.stages.Run` or of a section in it; a value is a
Python literal, or a word, of the field's type. Stages are reached as ``stages[0].steps``.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import typing
from collections.abc import Sequence
from typing import Any

from vqe_jax import models
from vqe_jax.data.pipeline import DataConfig
from vqe_jax.errors import UserError, near_misses
from vqe_jax.training.sections import read_value, to_plain
from vqe_jax.training.stages import Run, check

__all__ = ["from_text", "override"]

_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def override(run: Run, assignments: Sequence[tuple[str, str]]) -> Run:
    """The run with keys changed.

    Args:
      assignments: (path of the key, value as typed), as ``("stages[0].steps", "10")``.

    Raises:
      UserError: no such key, a value of another type, or one that a stage hides.
    """
    for path, text in assignments:
        run = _changed(run, Run, _split(path), text, "config", run.model)
    check(run)
    _refuse_hidden(run, [path for path, _ in assignments])
    return run


def from_text(hint: Any, text: str, where: str) -> Any:
    """The value of a type that a text says.

    Example:
      >>> from_text(tuple[float, float], "(0.9, 1)", "betas")
      (0.9, 1.0)

    Raises:
      UserError: it says none.
    """
    try:
        value = to_plain(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        value = text
    if hint is bool or (hint is Any and text.isalpha()):
        value = _TRUTH.get(text.lower(), text)
    try:
        return read_value(hint, value, where)
    except UserError as mistake:
        try:
            return read_value(hint, text, where)
        except UserError:
            raise mistake from None


def _split(path: str) -> list[str | int]:
    if re.fullmatch(r"\w+(\[\d+\])?(\.\w+(\[\d+\])?)*", path) is None:
        raise UserError(f"--config.{path} is not a path of keys, as stages[0].steps")
    if path.endswith("]"):
        raise UserError(f"--config.{path}: items are set by their keys, as stages[0].steps=10")
    return [int(index) if index else name for name, index in re.findall(r"(\w+)|\[(\d+)\]", path)]


def _changed(node: Any, hint: Any, keys: list[str | int], text: str, where: str, model: str) -> Any:
    """The node with the value at the end of the keys in place."""
    if not keys:
        return from_text(hint, text, where)
    key, *rest = keys
    if isinstance(key, int):
        if not isinstance(node, tuple) or key >= len(node):
            raise UserError(f"{where} has no item [{key}]")
        item = _changed(node[key], type(node[key]), rest, text, f"{where}[{key}]", model)
        return (*node[:key], item, *node[key + 1 :])
    if isinstance(node, tuple):
        raise UserError(f"{where} has items: write {where.partition('.')[2]}[0].KEY=VALUE")
    if node is None:
        node = (_section(hint) or dict)()
    hints = _hints(node, hint, where, model)
    if not hints:
        whole = f"--config.{where.partition('.')[2]}={{{key!r}: VALUE}}"
        raise UserError(f"{where} has no keys yet; set it as a whole, as {whole}")
    if key not in hints:
        raise UserError(f"{where} has no key {key!r}{near_misses(key, hints)}")
    old = node.get(key) if isinstance(node, dict) else getattr(node, key)
    new = _changed(old, hints[key], rest, text, f"{where}.{key}", model)
    if not isinstance(node, dict):
        return dataclasses.replace(node, **{key: new})
    if dataclasses.is_dataclass(new) and not isinstance(new, type):
        new = dataclasses.asdict(new)
    return {**node, key: new}


def _section(hint: Any) -> Any:
    """The dataclass that a type is, or may be."""
    candidates = (hint, *typing.get_args(hint))
    return next((c for c in candidates if dataclasses.is_dataclass(c)), None)


def _hints(node: Any, hint: Any, where: str, model: str) -> dict[str, Any]:
    """What a section's keys are, and the type of each."""
    name = where.rpartition(".")[2]
    if name == "data":
        return typing.get_type_hints(DataConfig)
    if name == "model_kwargs":
        hints = typing.get_type_hints(models.model_class(model))
        return {key: hints[key] for key in models.fields(model)}
    if dataclasses.is_dataclass(node) or (isinstance(node, dict) and _section(hint)):
        return typing.get_type_hints(_section(hint) or type(node))
    if isinstance(node, dict):
        return {key: type(value) for key, value in node.items()}
    raise UserError(f"{where}={node!r} is a value, not a section with keys")


def _refuse_hidden(run: Run, paths: list[str]) -> None:
    """A stage's own ``data`` and ``model_kwargs`` come before those of the run."""
    for path in paths:
        section, _, key = path.partition(".")
        if section not in ("data", "model_kwargs") or not key:
            continue
        name, ours = key.partition(".")[0], getattr(run, section)
        hiding = [
            f"stages[{index}].{path}"
            for index, stage in enumerate(run.stages)
            if name in getattr(stage, section) and getattr(stage, section)[name] != ours[name]
        ]
        if missed := [other for other in hiding if other not in paths]:
            raise UserError(
                f"--config.{path} is hidden by the stage's own; set "
                + " and ".join(f"--config.{other}" for other in missed)
            )
