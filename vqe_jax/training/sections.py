"""Reads nested dictionaries into dataclasses; what does not fit is one line that says where."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from vqe_jax.errors import UserError, check_names, near_misses

__all__ = ["check_keys", "read_section", "read_value", "to_plain"]


def to_plain(config: Any) -> Any:
    """ConfigDicts as dictionaries and lists as tuples, all the way down."""
    if hasattr(config, "to_dict"):
        config = config.to_dict()
    if isinstance(config, Mapping):
        return {str(key): to_plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return tuple(to_plain(value) for value in config)
    return config


def check_keys(cls: type, values: Mapping[str, Any], where: str) -> None:
    """Refuses keys that a dataclass does not have, and the lack of one that has no default."""
    missing, fields = dataclasses.MISSING, {f.name: f for f in dataclasses.fields(cls)}
    check_names(where, "key", values, fields)
    for name, field in fields.items():
        needed = field.default is missing and field.default_factory is missing
        if needed and name not in values:
            raise UserError(f"{where} lacks the key {name!r}")


def read_section(cls: type, values: Any, where: str) -> Any:
    """An instance of a dataclass from a dictionary, or from a tuple in the order of its fields.

    Args:
      values: the section, as :func:`to_plain` gives it.

    Raises:
      UserError: an unknown or missing key, a value of another kind.
    """
    hints = typing.get_type_hints(cls)
    fields = [f.name for f in dataclasses.fields(cls)]
    if isinstance(values, str):
        values = (values,)
    if isinstance(values, tuple) and len(values) <= len(fields):
        values = dict(zip(fields, values, strict=False))
    if not isinstance(values, Mapping):
        raise UserError(f"{where}={values!r}; expected a section with {', '.join(fields)}")
    check_keys(cls, values, where)
    return cls(**{k: read_value(hints[k], v, f"{where}.{k}") for k, v in values.items()})


def read_value(hint: Any, value: Any, where: str) -> Any:
    """A value checked against a field's type; integers are accepted as floats.

    Raises:
      UserError: a value of another type.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _union([a for a in arguments if a is not type(None)], value, where)
    if origin is typing.Literal:
        if value not in arguments:
            raise UserError(f"{where}={value!r}{near_misses(str(value), map(str, arguments))}")
        return value
    if dataclasses.is_dataclass(hint):
        return read_section(typing.cast(type, hint), value, where)
    if origin is tuple:
        return _tuple(arguments, value, where)
    if origin is Sequence:
        return _tuple((arguments[0], ...), value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise UserError(f"{where}={value!r}; expected a section")
        return dict(value)
    if not isinstance(hint, type):
        return value  # a type that cannot be told from a value alone
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise UserError(f"{where}={value!r}; expected {hint.__name__}")
    return value


def _union(kinds: list[Any], value: Any, where: str) -> Any:
    for kind in kinds[:-1]:
        try:
            return read_value(kind, value, where)
        except UserError:
            continue
    return read_value(kinds[-1], value, where)


def _tuple(arguments: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, tuple):
        raise UserError(f"{where}={value!r}; expected a tuple")
    if arguments[-1] is Ellipsis:
        return tuple(read_value(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if len(value) != len(arguments):
        raise UserError(f"{where}={value!r}; expected {len(arguments)} values")
    return tuple(read_value(a, v, where) for a, v in zip(arguments, value, strict=True))
