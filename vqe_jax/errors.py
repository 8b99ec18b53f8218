"""Mistakes a user can make, said in one line.

Every room may import this module. A :class:`UserError` names the thing, its value, what was
expected and the way out; :func:`run_cli` prints it without a traceback and exits with its code.
What the machine refuses (a full disk, a folder that cannot be written) becomes such a line too.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from vqe_jax.signals import stopping

__all__ = [
    "EnvironmentFailure",
    "UserError",
    "check_known",
    "check_names",
    "in_words",
    "near_misses",
    "run_cli",
    "unbreakable",
    "user_errors",
]


class UserError(ValueError):
    """Something the user asked for cannot be done; the message is one line that says what to do."""

    exit_code = 2


class EnvironmentFailure(UserError):
    """The machine, not the user, stands in the way (a full disk, say)."""

    exit_code = 1


_WORDS = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than this system allows (ulimit -f)",
    errno.EROFS: "the file system can only be read",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n)",
    errno.ENFILE: "too many open files in the whole system",
    errno.EIO: "the disk reports an error",
    errno.ESTALE: "the network file system has lost the file",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "that is a folder, not a file",
    errno.EEXIST: "a file of that name is in the way",
    errno.ENOENT: "no such file or folder",
    errno.ELOOP: "links that lead in a circle",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOMEM: "out of memory",
    errno.EBUSY: "in use by the system",
}
# Libraries wrap the system's errors in texts of their own.
_TELLTALES = {
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "File too large": errno.EFBIG,
    "Read-only file system": errno.EROFS,
    "Permission denied": errno.EACCES,
    "Too many open files": errno.EMFILE,
    "Input/output error": errno.EIO,
    "Stale file handle": errno.ESTALE,
}


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


def check_known(what: str, value: Any, known: Iterable[Any]) -> None:
    """Refuses a value that is none of those there are.

    Args:
      what: stands before the value: ``"mode="``, ``"recipe "``.

    Raises:
      UserError: names the near misses.

    Example:
      >>> check_known("mode=", "cores", ("cores", "centers"))
    """
    known = list(known)
    if value not in known:
        hint = near_misses(str(value), map(str, known))
        raise UserError(f"{what}{value!r} does not exist{hint}")


def check_names(owner: str, kind: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Refuses names that their owner does not have.

    Args:
      kind: of name: ``"key"``, ``"field"``.

    Raises:
      UserError: names the first, and the near misses.
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise UserError(f"{owner} has no {kind} {name!r}{near_misses(name, known)}")


def in_words(err: BaseException) -> str:
    """What went wrong, in a few words on one line.

    Example:
      >>> in_words(OSError(errno.ENOSPC, "No space left on device"))
      'no space left on the disk'
    """
    number = getattr(err, "errno", None) if isinstance(err, OSError) else None
    text = " ".join(str(err).split())
    for telltale, known in _TELLTALES.items():
        if telltale in text:
            number = number or known
    if number in _WORDS:
        return _WORDS[number]
    return text[:200] or type(err).__name__


@contextlib.contextmanager
def user_errors(what: str = "") -> Iterator[None]:
    """Turns what the machine refuses into an :class:`EnvironmentFailure` of one line.

    Args:
      what: named where the error itself names no file.

    Raises:
      EnvironmentFailure: an operating system's error, or no memory.
    """
    try:
        yield
    except (BrokenPipeError, UserError):
        raise
    except OSError as err:
        raise _failure(err, what) from err
    except MemoryError as err:
        raise EnvironmentFailure(f"{what or 'this'} needs more memory than there is") from err
    except RuntimeError as err:
        if "RESOURCE_EXHAUSTED" not in str(err):
            raise
        raise EnvironmentFailure(
            f"{what or 'this'} needs more memory than the device has; take a smaller batch, "
            "crop or tile"
        ) from err


def _failure(err: OSError, what: str) -> EnvironmentFailure:
    name = err.filename2 or err.filename
    where = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else what
    return EnvironmentFailure(f"{where or 'output'}: {in_words(err)}")


class _Unbreakable(io.TextIOBase):
    """A text stream that goes on when nobody reads it any more."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._broken = False

    def write(self, text: str) -> int:
        if not self._broken:
            try:
                self._stream.write(text)
            except (OSError, ValueError):
                self._broken = True
        return len(text)

    def flush(self) -> None:
        if not self._broken:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._broken = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        return not self._broken and bool(self._stream.isatty())

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    def writable(self) -> bool:
        return True


def unbreakable(stream: Any) -> io.TextIOBase:
    """A stream whose lines are dropped when they cannot be written: a closed pipe, a full device.

    Args:
      stream: the standard output, say; None where the program was started without one.
    """
    if isinstance(stream, _Unbreakable):
        return stream
    return cast(io.TextIOBase, _Unbreakable(open(os.devnull, "w") if stream is None else stream))


def run_cli(main: Callable[[], int | None]) -> None:
    """Runs a command and exits: 0, 2 for a user's mistake, 1 for a full disk, 130 for Ctrl-C.

    SIGTERM and SIGHUP end it as Ctrl-C does, with 143 and 129; a second signal ends it at once.

    Args:
      main: the command; returns an exit code or None for success.
    """
    sys.stdout, sys.stderr = unbreakable(sys.stdout), unbreakable(sys.stderr)
    try:
        with stopping(), user_errors():
            code = main() or 0
    except UserError as err:
        print(f"error: {err}", file=sys.stderr)
        code = err.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    _leave(code)


def _leave(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        if getattr(stream, "_broken", False):
            # Python would flush it once more at the end, and complain.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
