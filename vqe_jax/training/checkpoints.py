"""Checkpoints that are whole or do not count, and are never lost.

Orbax writes the arrays of a step into ``STEP/``. They are read back and compared before a manifest
(:mod:`vqe_jax.training.manifest`) makes the step count, and older steps go only after that.
Reading changes nothing. A step that cannot be read is renamed, never removed: resuming walks back
to the newest that can, and if there are steps and none can be read, the run stops and says so.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from vqe_jax.errors import EnvironmentFailure, UserError, in_words
from vqe_jax.files import replacing, sweep, sync_folder
from vqe_jax.models.shapes import tree_paths
from vqe_jax.training.manifest import (
    Damaged,
    Manifest,
    Progress,
    check_files,
    crc,
    describe,
    file_digests,
)
from vqe_jax.training.processes import from_primary, is_primary

__all__ = ["Checkpoints", "Progress"]

Arrays = dict[str, np.ndarray]

_UNFINISHED = ".orbax-checkpoint-tmp"
_UNFINISHED_NAME = re.compile(r"\d+\.orbax-checkpoint-tmp.*")
_ITEM = "default"
_SUFFIXES = ("", ".manifest.json")
# Other steps would fail in the same way: nothing is known about this one.
_NOT_THE_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_LASTING = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
)
_PATIENCE = (0.1, 0.5, 1.5)  # seconds between tries of a read, which a network may disturb


def _not_from_orbax(record: logging.LogRecord) -> bool:
    return f"{os.sep}orbax{os.sep}" not in record.pathname


def _hush_closed_loops() -> None:
    """Where one writer of several fails, those that end later complain of a closed event loop."""
    before = sys.unraisablehook
    if getattr(before, "hushed", False):
        return

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    hook.hushed = True  # type: ignore[attr-defined]
    sys.unraisablehook = hook


def _orbax() -> ocp.Checkpointer:
    # It logs tracebacks of the errors that it also raises, and those are said in a line here.
    logging.getLogger("absl").addFilter(_not_from_orbax)
    _hush_closed_loops()
    # One process reads and writes, and waits for no other.
    alone = {jax.process_index()}
    options = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(), active_processes=alone, barrier_sync_key_prefix="alone"
    )
    if jax.process_count() == 1:
        options = ocp.options.MultiprocessingOptions()
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=options)
    return ocp.Checkpointer(handler, multiprocessing_options=options)


class _Saving(threading.Thread):
    """A step being written and read back; a daemon, so that a stuck disk holds up no exit."""

    def __init__(self, folder: Path, arrays: Arrays, progress: Progress) -> None:
        super().__init__(name=f"checkpoint {progress.step}", daemon=True)
        self.folder, self.arrays, self.progress = folder, arrays, progress
        self.manifest: Manifest | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.manifest = self._write()
        except BaseException as err:
            self.error = err

    def _write(self) -> Manifest:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        with _orbax() as orbax:
            orbax.save(self.folder / _ITEM, args=ocp.args.StandardSave(self.arrays))
        for path in self.folder.rglob("*"):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        described = {k: [*describe(v), crc(v)] for k, v in self.arrays.items()}
        manifest = Manifest(self.progress, described, file_digests(self.folder))
        manifest.check_arrays(_restore(self.folder, manifest))
        return manifest


def _restore(folder: Path, manifest: Manifest) -> Arrays:
    with _orbax() as orbax:
        restored = orbax.restore(
            folder / _ITEM, args=ocp.args.StandardRestore(manifest.templates())
        )
    return {k: np.asarray(v) for k, v in restored.items()}


class Checkpoints:
    """The checkpoints of one run, in ``<workdir>/checkpoints``; the first process alone touches it.

    Links, and folders and files that are no steps of ours, are left alone.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, keep: int = 2, say: Callable[[str], None] = print
    ) -> None:
        """Looks what is there; changes nothing.

        Args:
          keep: how many steps stay, at least 1.
          say: told, in a line, about every step that does not count.
        """
        self._folder = Path(folder).absolute()
        self._keep, self._say = max(keep, 1), say
        self._saving: _Saving | None = None
        self._begun = False
        self._unreadable: dict[int, str] = {}
        self._newest: Manifest | None = None
        self._signed = from_primary(self._list)

    def steps(self) -> list[int]:
        """Steps with a manifest, oldest first; they may still turn out damaged."""
        return list(self._signed)

    def newest(self) -> tuple[Progress, Arrays] | None:
        """The newest step that can be read; None where there is no checkpoint at all.

        Raises:
          UserError: there are checkpoints and none can be read.
        """
        found, self._newest, self._unreadable = from_primary(self._find_newest)
        return found

    def begin(self) -> None:
        """Clears the way for saving: sets aside what cannot be read, removes unfinished saves."""
        if not self._begun:
            self._begun = True
            if is_primary():
                self._clear()
            gone = self._unreadable
            self._signed = [step for step in self._signed if step not in gone]

    def save(self, state: Any, progress: Progress) -> None:
        """Begins to save; returns as soon as the state has been copied.

        Args:
          state: a pytree of arrays, the same on every device.

        Raises:
          EnvironmentFailure: the save before this one failed.
        """
        self.begin()
        self.sign()
        # Copies: the next step reuses the state's buffers while this is being written.
        arrays = {k: np.array(v, copy=True) for k, v in tree_paths(state, separator=".").items()}
        progress = Progress(**vars(progress))
        folder = self._folder / f"{progress.step}{_UNFINISHED}"
        self._saving = _Saving(folder, arrays, progress)
        if is_primary():
            self._saving.start()

    def sign(self, *, wait: bool = True) -> None:
        """Makes a save that is under way count, then drops the oldest steps.

        Args:
          wait: for the arrays to be on disk; False returns at once if they are not.

        Raises:
          EnvironmentFailure: it failed; the steps before it are all there.
        """
        saving = self._saving
        # Processes do not finish writing at the same step, and all of them must sign together.
        if saving is None or (not wait and (jax.process_count() > 1 or saving.is_alive())):
            return
        self._saving = None
        self._newest = from_primary(lambda: self._finish(saving))
        step = saving.progress.step
        self._signed = [*(s for s in self._signed if s != step), step]
        for old in self._signed[: -self._keep]:
            self._signed.remove(old)
            if is_primary():
                self._drop(old)

    def note(self, progress: Progress) -> None:
        """Writes progress made without a step (a validation) beside the newest, if it is that."""
        if self._newest is None or self._newest.progress.step != progress.step:
            return
        self._newest = Manifest(Progress(**vars(progress)), self._newest.arrays, self._newest.files)
        if is_primary():
            self._write_manifest(self._newest)

    def fill(self, template: Any, arrays: Arrays, place: Any = None) -> Any:
        """Puts checkpointed arrays into a state of the same structure.

        Args:
          template: a state as the run's config makes it, or its shapes.
          arrays: from :meth:`newest`.
          place: a sharding or a device; None: the default device.

        Raises:
          UserError: the config makes another state; names the first difference.
        """
        expected = tree_paths(template, separator=".")
        for name in sorted(expected.keys() ^ arrays.keys()):
            side = "lacks" if name in expected else "has an unexpected"
            raise UserError(
                f"checkpoint in {self._folder} {side} array {name!r}; it was written by another "
                "config, use another --workdir"
            )
        for name, leaf in expected.items():
            if describe(leaf) != describe(arrays[name]):
                raise UserError(
                    f"checkpoint in {self._folder}: {name} is {describe(arrays[name])}, the "
                    f"config makes {describe(leaf)}; use another --workdir"
                )
        leaves = [arrays[name] for name in expected]
        return jax.device_put(jax.tree.unflatten(jax.tree.structure(template), leaves), place)

    def close(self) -> None:
        """Finishes what is under way."""
        self.sign()

    # What follows runs in the first process alone.

    def _manifest_path(self, step: int) -> Path:
        return self._folder / f"{step}.manifest.json"

    def _list(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        names = (re.fullmatch(r"(\d+)\.manifest\.json", p.name) for p in self._folder.iterdir())
        return sorted(int(m[1]) for m in names if m)

    def _unsigned(self) -> list[int]:
        """Steps whose manifest is gone."""
        if not self._folder.is_dir():
            return []
        steps = [p for p in self._folder.iterdir() if re.fullmatch(r"\d+", p.name)]
        ours = [p for p in steps if not p.is_symlink() and (p / _ITEM).is_dir()]
        return sorted(int(p.name) for p in ours if int(p.name) not in self._signed)

    def _find_newest(
        self,
    ) -> tuple[tuple[Progress, Arrays] | None, Manifest | None, dict[int, str]]:
        unreadable = dict.fromkeys(self._unsigned(), "its manifest is missing")
        for step in reversed(self._signed):
            try:
                manifest, arrays = self._read_patiently(step)
            except EnvironmentFailure:
                raise
            except Exception as err:
                unreadable[step] = in_words(err)
                continue
            for other, why in sorted(unreadable.items()):
                self._say(
                    f"checkpoint {other} cannot be read ({why}); it is kept as "
                    f"{self._name_aside(other)}, and the run goes on from step {step}"
                )
            return (Progress(**vars(manifest.progress)), arrays), manifest, unreadable
        if unreadable:
            found = "; ".join(f"{s}: {why}" for s, why in sorted(unreadable.items()))
            raise UserError(
                f"{self._folder} holds {len(unreadable)} checkpoints and none can be read "
                f"({found}); nothing was changed: mend them, or move them away to begin anew"
            )
        return None, None, {}

    def _read_patiently(self, step: int) -> tuple[Manifest, Arrays]:
        for pause in _PATIENCE:
            try:
                return self._read(step)
            except OSError as err:
                if err.errno in _NOT_THE_FILES:
                    where = self._manifest_path(step)
                    raise EnvironmentFailure(f"{where}: {in_words(err)}") from err
                if err.errno in _LASTING:
                    raise
                time.sleep(pause)
        return self._read(step)

    def _read(self, step: int) -> tuple[Manifest, Arrays]:
        manifest = Manifest.read(self._manifest_path(step), step)
        folder = self._step_folder(step)
        if not folder.is_dir():
            raise Damaged("its folder is missing")
        check_files(folder, manifest.files)
        arrays = _restore(folder, manifest)
        manifest.check_arrays(arrays)
        return manifest, arrays

    def _step_folder(self, step: int) -> Path:
        """Where a step's arrays are: a kill between manifest and rename leaves the other name."""
        folder = self._folder / str(step)
        unfinished = self._folder / f"{step}{_UNFINISHED}"
        return unfinished if unfinished.is_dir() and not folder.is_dir() else folder

    def _clear(self) -> None:
        if not self._folder.is_dir():
            return
        for step in self._unreadable:
            self._set_aside(step, self._step_folder(step))
        for step in self._signed:
            folder = self._step_folder(step)
            if folder.name != str(step) and step not in self._unreadable:
                folder.rename(self._folder / str(step))
        for path in self._folder.iterdir():
            if _UNFINISHED_NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
        sweep(self._folder)

    def _name_aside(self, step: int) -> str:
        """A name for a step that does not count, which nothing has yet."""
        for number in itertools.count(1):
            name = f"{step}.damaged" + (f"-{number}" if number > 1 else "")
            if not any(os.path.lexists(self._folder / f"{name}{s}") for s in _SUFFIXES):
                return name
        raise AssertionError

    def _set_aside(self, step: int, folder: Path) -> str:
        """Renames a step and its manifest; returns the step's new name."""
        name = self._name_aside(step)
        for source, suffix in zip((folder, self._manifest_path(step)), _SUFFIXES, strict=True):
            if os.path.lexists(source):
                source.rename(self._folder / f"{name}{suffix}")
        return name

    def _finish(self, saving: _Saving) -> Manifest:
        saving.join()
        step = saving.progress.step
        try:
            if saving.error is not None:
                raise saving.error
            assert saving.manifest is not None
            there = (self._folder / str(step), self._manifest_path(step))
            if any(os.path.lexists(path) for path in there):
                aside = self._set_aside(step, there[0])
                self._say(f"checkpoint {step} is saved anew; the former one is kept as {aside}")
            self._write_manifest(saving.manifest)
            saving.folder.rename(self._folder / str(step))
            sync_folder(self._folder)
        except Exception as err:
            if not os.path.lexists(self._folder / str(step)):
                self._manifest_path(step).unlink(missing_ok=True)
            shutil.rmtree(saving.folder, ignore_errors=True)
            kept = f"; kept: {', '.join(map(str, self._signed))}" if self._signed else ""
            raise EnvironmentFailure(
                f"checkpoint {step} cannot be saved in {self._folder} ({in_words(err)}){kept}"
            ) from err
        return saving.manifest

    def _write_manifest(self, manifest: Manifest) -> None:
        with replacing(self._manifest_path(manifest.progress.step)) as part:
            part.write_text(manifest.to_json())

    def _drop(self, step: int) -> None:
        """Removes an old step; what cannot be removed now is removed by the next start."""
        folder = self._folder / str(step)
        if folder.is_symlink() or not folder.is_dir():
            return
        doomed = self._folder / f"{step}{_UNFINISHED}"
        with contextlib.suppress(OSError):
            shutil.rmtree(doomed, ignore_errors=True)
            folder.rename(doomed)
            self._manifest_path(step).unlink(missing_ok=True)
            shutil.rmtree(doomed, ignore_errors=True)
