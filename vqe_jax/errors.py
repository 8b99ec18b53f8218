"""Mistakes a user can make, said in one line.

Every room may import this module. A :class:`UserError` names the thing, its value, what was
expected and the way out; :func:`run_cli` prints it without a traceback and exits with its code.
"""

from __future__ import annotations

import difflib
import errno
import sys
from collections.abc import Callable, Iterable

__all__ = ["EnvironmentFailure", "UserError", "near_misses", "run_cli"]


class UserError(ValueError):
    """Something the user asked for cannot be done; the message is one line that says what to do."""

    exit_code = 2


class EnvironmentFailure(UserError):
    """The machine, not the user, stands in the way (a full disk, say)."""

    exit_code = 1


def near_misses(name: str, known: Iterable[str]) -> str:
    """Ends an error message: ``; did you mean 'vig'?``, or the list of what there is.

    Example:
      >>> near_misses("vgi", ["vig", "stdf"])
      "; did you mean 'vig'?"
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3)
    if close:
        return "; did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "; known: " + ", ".join(known)


def run_cli(main: Callable[[], int | None]) -> None:
    """Runs a command and exits: 0, 2 for a user's mistake, 1 for a full disk, 130 for Ctrl-C.

    Args:
      main: the command; returns an exit code or None for success.
    """
    try:
        code = main() or 0
    except UserError as err:
        print(f"error: {err}", file=sys.stderr)
        code = err.exit_code
    except OSError as err:
        if err.errno != errno.ENOSPC:
            raise
        print(f"error: {err.filename or 'output'}: no space left on the disk", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
