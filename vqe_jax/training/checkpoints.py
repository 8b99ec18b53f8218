"""Checkpoints that are whole or do not count.

Orbax writes the arrays; it notices a file that is cut short, but neither a step that was never
finished nor a flipped byte. So each step gets a manifest of our own, written last: path, shape,
dtype and checksum of every array, and the run's progress. What has no manifest, or does not match
it, is no checkpoint: resuming walks back to the newest that is.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from vqe_jax.errors import UserError
from vqe_jax.models.shapes import tree_paths
from vqe_jax.training.processes import barrier, is_primary

__all__ = ["Checkpoints", "Progress"]


@dataclasses.dataclass
class Progress:
    """Where a run stands, beside its arrays.

    Attributes:
      step: number of the next step.
      stage: index of the stage whose state this is.
      data: the data iterator's state.
      best_score: of the stage's best validation; None before the first.
      best_step: when it was.
      hosts: processes that shared the data.
      config: the run's config.
    """

    step: int
    stage: int
    data: str
    best_score: float | None = None
    best_step: int = 0
    hosts: int = 1
    config: dict[str, Any] = dataclasses.field(default_factory=dict)


def _crc(array: np.ndarray) -> int:
    return zlib.crc32(array.tobytes())


def _describe(array: Any) -> list[Any]:
    return [list(array.shape), str(array.dtype)]


class Checkpoints:
    """The checkpoints of one run, in ``<workdir>/checkpoints``."""

    def __init__(
        self, folder: str | os.PathLike[str], *, keep: int = 2, say: Callable[[str], None] = print
    ) -> None:
        """Opens the folder and clears away what an interrupted save left.

        Args:
          folder: made if it does not exist.
          keep: how many steps stay.
          say: told, in a line, about every checkpoint that does not count.
        """
        self._folder = Path(folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._keep, self._say = keep, say
        self._unsigned: tuple[int, dict[str, Any]] | None = None
        self._primary = is_primary()
        if self._primary:
            self._discard_unfinished()
        barrier("checkpoints opened")
        # Kept in memory: while one process removes files, another must not count them.
        self._signed = sorted(int(p.name.split(".")[0]) for p in self._manifests())
        barrier("checkpoints listed")
        options = ocp.CheckpointManagerOptions(create=False, enable_async_checkpointing=True)
        self._manager = ocp.CheckpointManager(self._folder, options=options)

    def steps(self) -> list[int]:
        """Steps with a manifest, oldest first; they may still turn out damaged."""
        return list(self._signed)

    def save(self, state: Any, progress: Progress) -> None:
        """Begins to save; returns as soon as the state has been copied.

        Args:
          state: a pytree of arrays, the same on every device.
          progress: where the run stands.
        """
        self.sign()
        # A copy: the next step reuses the state's buffers while this is being written.
        arrays = {k: np.array(v, copy=True) for k, v in tree_paths(state, separator=".").items()}
        manifest = {
            "progress": dataclasses.asdict(progress),
            "arrays": {k: [*_describe(v), _crc(v)] for k, v in arrays.items()},
        }
        if progress.step in self._manager.all_steps():
            self._remove(progress.step)
        self._manager.save(progress.step, args=ocp.args.StandardSave(arrays))
        self._unsigned = progress.step, manifest

    def sign(self, *, wait: bool = True) -> None:
        """Finishes a save that is under way: writes its manifest, then drops the oldest steps.

        Args:
          wait: for the arrays to be on disk; False returns at once if they are not.
        """
        if self._unsigned is None:
            return
        # Processes do not finish writing at the same step, and all of them must sign together.
        if not wait and (jax.process_count() > 1 or self._manager.is_saving_in_progress()):
            return
        self._manager.wait_until_finished()
        step, manifest = self._unsigned
        self._unsigned = None
        if self._primary:
            part = self._folder / f"{step}.manifest.json.part"
            part.write_text(json.dumps(manifest))
            with part.open() as file:
                os.fsync(file.fileno())
            os.replace(part, self._manifest_path(step))
        barrier(f"checkpoint {step}")
        self._signed.append(step)
        for old in self.steps()[: -self._keep]:
            self._remove(old)

    def newest(self) -> tuple[Progress, dict[str, np.ndarray]] | None:
        """The newest whole checkpoint, or None; damaged ones on the way are removed."""
        for step in reversed(self.steps()):
            try:
                return self._read(step)
            except (ValueError, OSError, KeyError) as err:
                reason = str(err).split("\n")[0][:120]
                self._say(f"checkpoint {step} is damaged ({reason}); going back to an older one")
                self._remove(step)
        return None

    def fill(self, template: Any, arrays: dict[str, np.ndarray]) -> Any:
        """Puts checkpointed arrays into a state of the same structure.

        Args:
          template: a state as the run's config makes it.
          arrays: from :meth:`newest`.

        Raises:
          UserError: the config makes another state; names the first difference.
        """
        expected = tree_paths(template, separator=".")
        for name in sorted(expected.keys() ^ arrays.keys()):
            side = "lacks" if name in expected else "has an unexpected"
            raise UserError(f"checkpoint in {self._folder} {side} array {name!r}; it was written "
                            "by another config, use another --workdir")  # fmt: skip
        for name, leaf in expected.items():
            if _describe(leaf) != _describe(arrays[name]):
                raise UserError(
                    f"checkpoint in {self._folder}: {name} is {_describe(arrays[name])}, the "
                    f"config makes {_describe(leaf)}; use another --workdir"
                )
        leaves = [jax.device_put(arrays[k], v.sharding) for k, v in expected.items()]
        return jax.tree.unflatten(jax.tree.structure(template), leaves)

    def close(self) -> None:
        """Finishes what is under way."""
        self.sign()
        self._manager.close()

    def _manifests(self) -> list[Path]:
        return list(self._folder.glob("*.manifest.json"))

    def _manifest_path(self, step: int) -> Path:
        return self._folder / f"{step}.manifest.json"

    def _read(self, step: int) -> tuple[Progress, dict[str, np.ndarray]]:
        manifest = json.loads(self._manifest_path(step).read_text())
        described = manifest["arrays"]
        abstract = {k: np.empty(s, _dtype(d)) for k, (s, d, _) in described.items()}
        arrays = self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
        arrays = {k: np.asarray(v) for k, v in arrays.items()}
        for name, (_, _, crc) in described.items():
            if _crc(arrays[name]) != crc:
                raise ValueError(f"{name} does not match its checksum")
        return Progress(**manifest["progress"]), arrays

    def _remove(self, step: int) -> None:
        # The manifest first: a step without one does not count.
        self._signed = [s for s in self._signed if s != step]
        if self._primary:
            self._manifest_path(step).unlink(missing_ok=True)
        if step in self._manager.all_steps():
            self._manager.delete(step)

    def _discard_unfinished(self) -> None:
        signed = {p.name.split(".")[0] for p in self._manifests()}
        for path in self._folder.iterdir():
            if path.is_dir() and path.name not in signed:
                if path.name.isdigit():
                    self._say(f"checkpoint {path.name} was not finished; removed")
                shutil.rmtree(path)
            elif path.name.endswith(".part"):
                path.unlink()
        for step in signed:
            if not (self._folder / step).is_dir():
                self._manifest_path(int(step)).unlink()


def _dtype(name: str) -> Any:
    return jax.numpy.dtype(name)
