"""The flags of all commands: one style, and every mistake one line.

Flags are written with hyphens; underscores are understood too. Every room may import this module.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any

from vqe_jax.errors import UserError, near_misses

__all__ = ["Group", "Parser"]

Group = argparse._ArgumentGroup


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that raises :class:`UserError` and takes ``--data_dir`` for hyphens."""

    def __init__(self, **options: Any) -> None:
        """Takes what argparse takes; shows descriptions as they are written."""
        raw = argparse.RawDescriptionHelpFormatter
        super().__init__(**{"formatter_class": raw, "allow_abbrev": False, **options})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses; an unknown flag is an error here, where the flags of a subcommand are known."""
        given = [_hyphens(a) for a in (sys.argv[1:] if args is None else args)]
        found, extra = super().parse_known_args(given, namespace)
        for argument in extra:
            if argument.startswith("-"):
                flags = [flag for action in self._actions for flag in action.option_strings]
                name = argument.partition("=")[0]
                raise UserError(f"{name} is no option{near_misses(name, flags)}")
            raise UserError(f"argument {argument!r} is not understood; options begin with --")
        return found, extra

    def error(self, message: str) -> Any:
        """Raises instead of printing the usage."""
        raise UserError(message)


def _hyphens(argument: str) -> str:
    flag = re.match(r"--\w[\w-]*(?==|$)", argument)
    return argument if flag is None else flag[0].replace("_", "-") + argument[flag.end() :]
