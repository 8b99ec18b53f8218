"""Files that are whole or not there, and folders that one process at a time may write to."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: nothing is locked
    fcntl = None  # type: ignore[assignment]

from vqe_jax.errors import UserError, in_words

__all__ = ["alone", "cache_dir", "read_json", "replacing", "sweep", "sync_folder"]

_PART = re.compile(r".+\.\d+-[0-9a-f]{8}\.part")
_NO_LOCKS = (errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def cache_dir() -> Path:
    """Where downloads and compiled programs stay: ``VQE_CACHE``, else ``~/.cache/vqe_jax``."""
    if chosen := os.environ.get("VQE_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vqe_jax"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to; that file takes the place of ``path`` when the block ends without error.

    It lies beside ``path`` under a name that no other process or thread has, and its bytes are on
    the disk before it is renamed. After an error the old file, if any, is as it was.

    Args:
      path: the file to make or replace; parent folders are made.

    Example:
      >>> import tempfile
      >>> target = Path(tempfile.mkdtemp()) / "deep" / "a.txt"
      >>> with replacing(target) as part:
      ...     _ = part.write_text("whole")
      >>> target.read_text(), len(list(target.parent.iterdir()))
      ('whole', 1)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield part
        _sync(part)
        part.replace(path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Puts a folder's list of names on the disk, where the file system knows such a thing."""
    with contextlib.suppress(OSError):
        _sync(folder)


def sweep(folder: Path) -> None:
    """Removes what killed processes left of :func:`replacing`; only its own names are touched.

    Args:
      folder: that nobody else writes to now, see :func:`alone`; it need not exist.
    """
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if _PART.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(folder: Path, refusal: str) -> Iterator[None]:
    """Keeps other processes out of a folder; the system ends it with the process.

    The folder itself is locked, so nothing is written. File systems that cannot lock a folder get
    a file ``.lock`` in it.

    Raises:
      UserError: another process is in there.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not _lock(descriptor, refusal):
            os.close(descriptor)
            descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
            _lock(descriptor, refusal)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, refusal: str) -> bool:
    """Whether the file system knows locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        if err.errno in _NO_LOCKS:
            return False
        if err.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise UserError(refusal) from None
        raise
    return True


def read_json(path: Path) -> dict[str, Any]:
    """The dictionary in a JSON file, such as the ``config.json`` of a run.

    Raises:
      UserError: damaged, or something else.
    """
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as err:
        raise UserError(f"{path} is damaged ({in_words(err)}); expected JSON") from err
    if not isinstance(found, dict):
        raise UserError(f"{path} holds {type(found).__name__}; expected a JSON object")
    return found
