"""Output files that appear only when they are whole, and errors of files said in one line."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import av

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from vqe_jax.errors import EnvironmentFailure, UserError, in_words

__all__ = ["claim", "discard", "publish", "readable_file", "translated", "unfinished"]


def unfinished(path: Path) -> Path:
    """Where a file or folder is written until it is whole: ``clip.mkv.part`` beside it.

    Args:
      path: the final name.
    """
    return path.with_name(path.name + ".part")


def claim(part: Path) -> int | None:
    """Takes an unfinished file or folder for this process: it is empty, and nobody else writes it.

    Args:
      part: what :func:`unfinished` returned; a folder must exist already.

    Returns:
      A descriptor to close when the writing has ended; None where the system has no locks.

    Raises:
      UserError: another process is writing there.
    """
    if fcntl is None:
        if not part.is_dir():
            part.open("wb").close()
        return None
    flags = os.O_RDONLY if part.is_dir() else os.O_WRONLY | os.O_CREAT
    descriptor = os.open(part, flags, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(
            f"{part.name} is being written by another run; wait for it, or name another file"
        ) from None
    except OSError:  # a file system without locks
        pass
    if not part.is_dir():
        with contextlib.suppress(OSError):
            os.truncate(descriptor, 0)
    return descriptor


def discard(path: Path) -> None:
    """Removes an unfinished file or folder, if it is there.

    Args:
      path: what :func:`unfinished` returned.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def publish(part: Path, path: Path) -> None:
    """Renames a whole file or folder to its final name, in place of an older one.

    Args:
      part: what :func:`unfinished` returned.
      path: the final name.
    """
    if part.is_dir() and path.is_dir():
        shutil.rmtree(path)
    part.replace(path)


def readable_file(path: Path, wanted: str) -> int:
    """Checks that a file is there and not empty; returns its size in bytes.

    Args:
      path: the file.
      wanted: what it should be, for the message ("a video").

    Raises:
      UserError: there is none, it is a folder, it is empty.
    """
    if str(path) == "-":
        raise UserError("'-' is no file: nothing is read from standard input; name a file")
    if not path.exists():
        raise UserError(f"{path}: no such file; expected {wanted}")
    if not path.is_file():
        raise UserError(f"{path} is not a file; expected {wanted}")
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"{path} is empty (0 bytes); expected {wanted}")
    return size


@contextlib.contextmanager
def translated(path: Path, doing: str) -> Iterator[None]:
    """Turns errors of FFmpeg and of the disk into one line that names the file.

    Args:
      path: the file in question.
      doing: ``"read"`` or ``"written"``.

    Raises:
      EnvironmentFailure: the disk is full.
      UserError: anything else that FFmpeg objects to, or that the system forbids.
    """
    try:
        yield
    except OverflowError as err:
        raise UserError(f"{path} cannot be {doing}: its times are damaged") from err
    except (av.FFmpegError, OSError) as err:
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentFailure(
                f"{path}: no space left on the disk; free some or write elsewhere"
            ) from err
        if err.errno in (errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.EROFS):
            raise EnvironmentFailure(f"{path} cannot be {doing}: {in_words(err)}") from err
        reason = err.strerror or str(err)
        raise UserError(f"{path} cannot be {doing}: {reason}") from err
