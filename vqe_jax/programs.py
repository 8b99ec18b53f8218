"""Compiled programs: kept from one run to the next, and counted.

The commands keep what XLA has compiled in a folder, so that a second run of the same network begins
within seconds. The folder is the user's own and the machine's own: programs are code, and code
compiled for one processor may not run on another that shares the same home. Several runs may use it
at a time: a program is written beside its place and renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vqe_jax.errors import in_words
from vqe_jax.files import cache_dir
from vqe_jax.flags import Parser

__all__ = ["Count", "add_option", "counted", "keep", "prune"]

_VARIABLE = "VQE_PROGRAM_CACHE"
_OFF = ("off", "0")
_SHORT = 0.02  # seconds: what compiles in less is not worth a file
_MOST_BYTES, _MOST_DAYS = 2 << 30, 60.0
_SUFFIX = "-cache"


def add_option(parser: Parser) -> None:
    """Adds ``--program-cache`` to a command."""
    parser.add_argument(
        "--program-cache",
        metavar="DIR|off",
        help=f"where compiled programs are kept (default: {_VARIABLE}, else "
        f"{cache_dir() / 'programs'})",
    )


def keep(place: str | None = None) -> str | None:
    """Keeps compiled programs from now on; call it before anything is compiled.

    Args:
      place: a folder, or "off"; None: what ``VQE_PROGRAM_CACHE`` says. Where neither says anything
        and JAX has been told of a folder itself (``JAX_COMPILATION_CACHE_DIR``), that one stays;
        else ``~/.cache/vqe_jax/programs``.

    Returns:
      A line for the user, or None where nothing is kept.
    """
    import jax

    chosen = place or os.environ.get(_VARIABLE) or ""
    if chosen.lower() in _OFF:
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    if not chosen and (known := jax.config.values["jax_compilation_cache_dir"]):
        return f"compiled programs are kept in {known}"
    base = Path(chosen).expanduser() if chosen else cache_dir() / "programs"
    folder = base / _machine()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        prune(folder)
    except OSError as err:
        return f"compiled programs are not kept: {base}: {in_words(err)}"
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORT)
    _write_whole_files(folder)
    return f"compiled programs are kept in {base}"


def _machine() -> str:
    """A name of this kind of processor."""
    facts = [platform.system(), platform.machine()]
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        wanted = ("flags", "Features", "model name", "CPU part")
        found = {key: line for line in lines if (key := line.split("\t")[0].strip()) in wanted}
        facts += sorted(found.values())
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _write_whole_files(folder: Path) -> None:
    """Puts a cache in the place of JAX's, which writes files that others may read half-written."""
    try:
        from jax._src import compilation_cache
        from jax._src.lru_cache import LRUCache
    except ImportError:  # another JAX: its own cache does, less carefully
        return
    if not hasattr(compilation_cache, "get_file_cache"):
        return

    class WholeFiles(LRUCache):
        """One file a program, whole or not there; the time of its last use is the file's."""

        def get(self, key: str) -> bytes | None:
            file = folder / f"{key}{_SUFFIX}"
            try:
                found = file.read_bytes()
            except OSError:
                return None
            with contextlib.suppress(OSError):
                os.utime(file)
            return found

        def put(self, key: str, value: bytes) -> None:
            part = folder / f"{key}{_SUFFIX}.{os.getpid()}-{threading.get_ident()}"
            try:
                part.write_bytes(value)  # not flushed: its checksum tells after a power failure
                part.replace(folder / f"{key}{_SUFFIX}")
            finally:
                part.unlink(missing_ok=True)

    def get_file_cache(path: str) -> tuple[Any, str]:
        return WholeFiles(path, max_size=-1), path

    compilation_cache.get_file_cache = get_file_cache
    compilation_cache.reset_cache()  # the next program asks for the cache anew


def prune(folder: Path, *, most_bytes: int = _MOST_BYTES, most_days: float = _MOST_DAYS) -> None:
    """Removes programs that were not used for long, and the oldest while they are too large."""
    known = []
    for file in folder.glob(f"*{_SUFFIX}*"):  # what a killed run left half-written, too
        with contextlib.suppress(OSError):  # another run may have removed it
            facts = file.stat()
            known.append((facts.st_mtime, facts.st_size, file))
    oldest, total = time.time() - most_days * 86_400, 0
    for used, size, file in sorted(known, reverse=True):
        total += size
        if used < oldest or total > most_bytes:
            with contextlib.suppress(OSError):
                file.unlink()


class Count:
    """How many programs were asked of XLA, and what became of them.

    Attributes:
      kept: those of them that an earlier run had compiled.
      seconds: that compiling took, or reading what was kept; of all threads together.
    """

    def __init__(self) -> None:
        self.programs, self.kept, self.seconds = 0, 0, 0.0

    def __str__(self) -> str:
        """For the end of a run."""
        kept = f", {self.kept} of them by earlier runs" if self.kept else ""
        return f"{self.programs} programs compiled{kept}; it took {self.seconds:.1f} s"

    def _note(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            self.programs += 1
            self.seconds += duration_secs

    def _note_kept(self, event: str, **_: str | int) -> None:
        self.kept += event == "/jax/compilation_cache/cache_hits"


@contextlib.contextmanager
def counted() -> Iterator[Count]:
    """Counts the programs that are compiled inside the block, in all threads."""
    from jax import monitoring

    count = Count()
    monitoring.register_event_duration_secs_listener(count._note)
    monitoring.register_event_listener(count._note_kept)
    try:
        yield count
    finally:
        monitoring.unregister_event_duration_listener(count._note)
        monitoring.unregister_event_listener(count._note_kept)
