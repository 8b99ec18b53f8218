"""Open tables of things that a config asks for by name: networks, losses, corruptions, metrics, ...

A table is an explicit dictionary that anybody may add to with ``register``. Wherever a name is
taken, ``"package.module:Name"`` is taken too, so that a class or a function of the reader's own
needs no registration. This is the one place that imports by a string and that reads a signature.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from vqe_jax.errors import UserError, check_names, near_misses

__all__ = ["Registry", "check_options", "resolve"]

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of one kind of thing, by name.

    Example:
      >>> colors = Registry("color", {"red": 0xFF0000, "black": "vqe_jax.errors:UserError"})
      >>> colors.register("blue", 0x0000FF)
      >>> colors.names(), colors.get("red")
      (['black', 'blue', 'red'], 16711680)
    """

    def __init__(
        self,
        kind: str,
        entries: Mapping[str, T | str],
        *,
        check: Callable[[Any], bool] = lambda _: True,
        expected: str = "",
    ) -> None:
        """Makes a table.

        Args:
          kind: what an entry is called in messages: "model", "loss".
          entries: each a thing, or a string ``"module:Name"`` that is imported when it is used.
          check: whether something is such a thing; asked of all but the given ``entries``.
          expected: in words what ``check`` asks for, for messages: "a subclass of Network".
        """
        self.kind = kind
        self._entries: dict[str, T | str] = dict(entries)
        self._check, self._expected = check, expected

    def names(self) -> list[str]:
        """The names that are registered, sorted."""
        return sorted(self._entries)

    def __contains__(self, name: object) -> bool:
        """Whether a name is registered, or refers to something elsewhere."""
        return name in self._entries or (isinstance(name, str) and ":" in name)

    def __iter__(self) -> Iterator[str]:
        """The registered names, in the order of their registration."""
        return iter(self._entries)

    def __getitem__(self, name: str) -> T:
        """As :meth:`get`."""
        return self.get(name)

    def get(self, name: str) -> T:
        """The entry of a name, or what ``"module:Name"`` refers to.

        Raises:
          UserError: no such name (with the near misses), or nothing of this kind.
        """
        entry = self._entries.get(name)
        if isinstance(entry, str):
            return resolve(entry, self.kind)
        if entry is not None:
            return entry
        if ":" not in name:
            hint = near_misses(name, self.names())
            raise UserError(f"{self.kind} {name!r} does not exist{hint}")
        return self._checked(name, resolve(name, self.kind))

    def register(self, name: str, entry: T | str) -> None:
        """Adds an entry.

        Args:
          name: what it will be asked for by; without a colon, and not taken.
          entry: the thing, or ``"module:Name"``.

        Raises:
          UserError: the name is taken by another entry or impossible, or the entry is not of
            this kind.
        """
        if not name or ":" in name:
            raise UserError(f"{self.kind} {name!r} cannot be registered; a name has no colon")
        if name in self._entries and self._entries[name] is not entry:
            raise UserError(
                f"{self.kind} {name!r} is registered already; choose another name, or "
                "unregister it first"
            )
        self._entries[name] = entry if isinstance(entry, str) else self._checked(name, entry)

    def unregister(self, name: str) -> None:
        """Takes an entry out again; a name that is not there is no error."""
        self._entries.pop(name, None)

    def _checked(self, name: str, entry: Any) -> T:
        if not self._check(entry):
            raise UserError(f"{self.kind} {name!r} is {entry!r}; expected {self._expected}")
        return entry


def resolve(reference: str, kind: str) -> Any:
    """Imports what ``"package.module:Name"`` refers to.

    Args:
      reference: a module on Python's path, a colon, and a name in it (dots go deeper).

    Raises:
      UserError: no such module or no such name in it. A module that is found and fails while it
        is imported raises its own error.
    """
    where, _, name = reference.partition(":")
    try:
        found: Any = importlib.import_module(where)
    except (ModuleNotFoundError, ValueError, TypeError) as err:
        missing = getattr(err, "name", None)
        if missing is not None and not f"{where}.".startswith(f"{missing}."):
            raise
        raise UserError(
            f"{kind} {reference!r}: there is no module {where!r}; write 'package.module:Name', and "
            "put the folder that holds it on PYTHONPATH"
        ) from err
    for part in name.split("."):
        if not hasattr(found, part):
            hint = near_misses(part, [n for n in dir(found) if not n.startswith("_")])
            raise UserError(f"{kind} {reference!r}: {where!r} has no {part!r}{hint}")
        found = getattr(found, part)
    return found


def check_options(
    what: str, function: Callable[..., Any], options: Mapping[str, Any], given: tuple[str, ...] = ()
) -> None:
    """Refuses options that a function does not have, and values of another type.

    Its options are its keyword-only arguments and those with a default.

    Args:
      what: whose they are, for the message: "loss 'l1'".
      given: keyword arguments that are no options, because somebody else gives them.

    Raises:
      UserError: an unknown option, with the near misses, or a value of another type.
    """
    parameters = inspect.signature(function).parameters.values()
    for p in parameters:
        if p.name in options and not _fits(options[p.name], p.annotation):
            raise UserError(
                f"{what}: {p.name}={options[p.name]!r} is no {_type_name(p.annotation)}"
            )
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return
    known = [
        p.name
        for p in parameters
        if p.kind is inspect.Parameter.KEYWORD_ONLY or p.default is not inspect.Parameter.empty
        if p.name not in given
    ]
    check_names(what, "option", options, known)


def _type_name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value is what a plain annotation asks for; other annotations take anything."""
    kinds: dict[str, Any] = {"bool": bool, "int": int, "float": int | float, "str": str}
    name = _type_name(annotation)
    return name not in kinds or (
        isinstance(value, kinds[name]) and (name == "bool" or not isinstance(value, bool))
    )
