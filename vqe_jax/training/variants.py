"""One grammar for the variants of a recipe: words and ``key=value``, joined by commas.

    configs/stdf.py:qp32,width=narrow

A recipe is a function of keywords with types and defaults; :func:`variants` makes it the
``get_config(variant)`` of its file. Words follow from the types: each text of a ``Literal`` is one
(``narrow``), each number of one with its key in front (``qp32``), and each truth by its key
(``rgb``, or ``no_guidance`` where it is on). What has no word is set by its key
(``spynet=flow.npz``). Every recipe knows ``clips`` too, which trains it on the reader's own folder,
and ``smoke``, which cuts it down to a few steps (of ``small``, where no other width is asked for).
"""

from __future__ import annotations

import copy
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from vqe_jax.errors import UserError, near_misses
from vqe_jax.training.overrides import from_text

__all__ = ["variants", "words"]

Recipe = Callable[..., dict[str, Any]]


def variants(recipe: Recipe) -> Callable[[str], ConfigDict]:
    """Makes ``get_config(variant)`` of a recipe.

    Args:
      recipe: keywords to nested dictionaries, the fields of :class:`vqe_jax.training.stages.Run`.

    Example:
      >>> @variants
      ... def get_config(qp: typing.Literal[32, 37] = 37, rgb: bool = False):
      ...     return {"data": {"config_name": f"qp{qp}"}, "channels": 3 if rgb else 1}
      >>> get_config("qp32,rgb").data.config_name
      'qp32'
    """
    file = Path(recipe.__code__.co_filename).name

    @functools.wraps(recipe)
    def get_config(variant: str = "") -> ConfigDict:
        chosen, everywhere = _read(recipe, variant, file)
        config = copy.deepcopy(recipe(**chosen))  # what it is made of may be shared
        _refuse_idle(recipe, chosen, config, file)
        for change in everywhere:
            change(config)
        return ConfigDict({"source": _source(file, variant), **config})

    return get_config


def words(recipe: Recipe) -> dict[str, tuple[str, Any]]:
    """The words that a recipe's variants are made of, and the keyword and value of each.

    Args:
      recipe: a recipe, or the ``get_config`` made of it.
    """
    recipe = inspect.unwrap(recipe)
    hints, found = typing.get_type_hints(recipe), {}
    for key, parameter in inspect.signature(recipe).parameters.items():
        if hints[key] is bool:
            found[f"no_{key}" if parameter.default else key] = (key, not parameter.default)
        for choice in (hints[key], *typing.get_args(hints[key])):  # Literal, or Literal | None
            if typing.get_origin(choice) is typing.Literal:
                values = typing.get_args(choice)
                named = {v if isinstance(v, str) else f"{key}{v}": (key, v) for v in values}
                assert not found.keys() & named.keys(), f"{key}: a word of another keyword"
                found |= named
    if "small" in found:
        found["demo"] = found["small"]
    return found


def _read(recipe: Recipe, variant: str, file: str) -> tuple[dict[str, Any], list[Any]]:
    """The keywords that a variant sets, and what it does to any recipe."""
    known, chosen = words(recipe), {}
    parts = [part for part in variant.split(",") if part not in ("", "default")]
    everywhere = [_EVERYWHERE[part] for part in parts if part in _EVERYWHERE]
    for part in parts:
        if part in _EVERYWHERE:
            continue
        if "=" in part:
            key, value = _assignment(recipe, part, file)
        elif part in known:
            key, value = known[part]
        else:
            names = [*known, *_EVERYWHERE]
            raise UserError(f"{file} has no variant {part!r}{near_misses(part, names)}")
        if key in chosen:
            raise UserError(f"{file}: {part!r} sets {key!r} a second time; choose one")
        chosen[key] = value
    if _shortened in everywhere and "small" in known:
        chosen.setdefault(*known["small"])
    return chosen, everywhere


def _assignment(recipe: Recipe, part: str, file: str) -> tuple[str, Any]:
    key, _, text = part.partition("=")
    keywords = inspect.signature(recipe).parameters
    if key not in keywords:
        raise UserError(f"{file} has no keyword {key!r}{near_misses(key, keywords)}")
    if not text:
        raise UserError(f"{file}: {key}= needs a value")
    return key, from_text(typing.get_type_hints(recipe)[key], text, f"{file}: {key}")


def _refuse_idle(recipe: Recipe, chosen: Mapping[str, Any], config: Any, file: str) -> None:
    """A word that changes nothing is a mistake of the caller or of the recipe."""
    parameters = inspect.signature(recipe).parameters
    for key, value in chosen.items():
        others = {name: other for name, other in chosen.items() if name != key}
        if value != parameters[key].default and recipe(**others) == config:
            beside = " beside " if others else ""
            beside += ", ".join(f"{name}={other}" for name, other in others.items())
            raise UserError(f"{file}: {key}={value} changes nothing{beside}; leave it out")


def _source(file: str, variant: str) -> str:
    return f"trained by configs/{file}" + (f":{variant}" if variant else "")


def _on_clips(config: dict[str, Any]) -> None:
    """The reader's own folder in place of the paper's data set."""
    names = config["data"].get("config_name", "qp37")
    if isinstance(names, str) and not names.startswith("qp"):
        names = "qp37"
    config["data"] |= {"dataset": "clips", "config_name": names}
    config["eval"] = {**(config.get("eval") or {}), "split": "val"}


def _shortened(config: dict[str, Any], steps: int = 6) -> None:
    """A handful of steps in every stage, validated and kept on the way."""
    for stage in config["stages"]:
        stage["steps"] = min(stage["steps"], steps)
        if "warmup" in stage.get("schedule", {}):
            stage["schedule"] = {**stage["schedule"], "warmup": steps}
    config["eval"] = {**(config.get("eval") or {}), "every": steps // 3}
    config["checkpoint"] = {"every": steps // 3}


_EVERYWHERE: dict[str, Callable[[dict[str, Any]], None]] = {"clips": _on_clips, "smoke": _shortened}
