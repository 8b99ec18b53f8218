"""``--config.key=value``: changing single keys of a config from the command line.

A key may be one that the config's file sets, or any other that its section has; values are Python
literals of the kind that was there before. Stages are reached as ``--config.stages[0].steps=10``.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import typing
from typing import Any

from ml_collections import ConfigDict

from vqe_jax.errors import UserError, near_misses
from vqe_jax.training.stages import Run

__all__ = ["apply_override"]

_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def apply_override(config: ConfigDict, path: str, text: str) -> None:
    """Sets one key in place.

    Args:
      config: as its file makes it.
      path: of the key, ``"stages[0].learning_rate"``.
      text: the value as typed.

    Raises:
      UserError: no such key, or a value of another kind.

    Example:
      >>> config = ConfigDict({"seed": 0, "stages": ({"name": "a", "steps": 5},)})
      >>> apply_override(config, "stages[0].steps", "7")
      >>> config.stages[0]["steps"]
      7
    """
    *parents, (last, position) = _split(path)
    config.unlock()  # a config from a file is locked against new keys: they are checked here
    seen, node, section = "config", config, Run
    for name, index in parents:
        node, section, seen = _enter(node, section, name, index, seen)
    if position is not None:
        raise UserError(f"--config.{path}: items are set by their keys, as stages[0].steps=10")
    known = _keys(node) | _fields(section, config)
    if last not in known:
        raise UserError(f"{seen} has no key {last!r}{near_misses(last, known)}")
    if isinstance(node, ConfigDict):
        node.unlock()
    if last in _keys(node):
        value = _like(node[last], text, path)
        if not isinstance(value, type(node[last])):
            del node[last]  # a ConfigDict holds on to the old value's type
        node[last] = value
    else:
        node[last] = _literal(text)


def _split(path: str) -> list[tuple[str, int | None]]:
    parts = []
    for part in path.split("."):
        match = re.fullmatch(r"(\w+)(?:\[(\d+)\])?", part)
        if match is None:
            raise UserError(f"--config.{path} is not a path of keys, as stages[0].steps")
        parts.append((match[1], None if match[2] is None else int(match[2])))
    return parts


def _enter(
    node: Any, section: Any, name: str, index: int | None, seen: str
) -> tuple[Any, Any, str]:
    """The section below, what it is made of, and its place in words."""
    below = _below(section, name)
    known = _keys(node)
    if name not in known:
        if index is not None or below is None:
            raise UserError(f"{seen} has no key {name!r}{near_misses(name, known)}")
        node[name] = ConfigDict()
    node, seen = node[name], f"{seen}.{name}"
    if index is None:
        return node, below, seen
    if not isinstance(node, (tuple, list)) or index >= len(node):
        raise UserError(f"{seen} has no item [{index}]")
    return node[index], below, f"{seen}[{index}]"


def _below(section: Any, name: str) -> Any:
    """The dataclass, or the name of the free section, that a key of a section holds."""
    if name in ("data", "model_kwargs"):
        return name
    if not isinstance(section, type):
        return None
    hint = typing.get_type_hints(section).get(name)
    candidates = [hint, *typing.get_args(hint)]
    return next((c for c in candidates if dataclasses.is_dataclass(c)), None)


def _fields(section: Any, config: ConfigDict) -> set[str]:
    """All keys that a section may have, set or not."""
    if section == "data":
        from vqe_jax.data.pipeline import DataConfig

        section = DataConfig
    if section == "model_kwargs":
        from vqe_jax import models

        return set(models.fields(config.model))
    return {f.name for f in dataclasses.fields(section)} if section is not None else set()


def _keys(node: Any) -> set[str]:
    return {str(k) for k in node.keys()} if isinstance(node, (ConfigDict, dict)) else set()  # noqa: SIM118


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return _TRUTH.get(text.lower(), text) if text.isalpha() else text


def _like(old: Any, text: str, path: str) -> Any:
    """The value that a text says, of the kind of the old one; of texts there may be several."""
    if isinstance(old, str):
        several = _literal(text) if text.startswith("(") else text
        return several if isinstance(several, tuple) else text
    value = _literal(text) if not isinstance(old, bool) else _TRUTH.get(text.lower(), text)
    if old is None or value is None:
        return value
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(old, tuple) and isinstance(value, list):
        return tuple(value)
    if type(value) is not type(old):
        kind = type(old).__name__
        raise UserError(f"--config.{path}={text!r}; expected {kind}, as {old!r}")
    return value
