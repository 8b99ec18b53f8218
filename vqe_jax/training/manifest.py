"""What a checkpoint's manifest says, and whether the files fit it.

A manifest is JSON beside the step's folder: the run's progress; shape, dtype and checksum of every
array; size and SHA-256 of every file; and a SHA-256 over all of that, so that neither the arrays
nor a digit of the progress can change unseen.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

__all__ = ["Damaged", "Manifest", "Progress", "check_files", "crc", "describe", "file_digests"]

_FORMAT = "vqe_jax checkpoint 2"
_SEALED = ("format", "progress", "arrays", "files")


class Damaged(ValueError):
    """A checkpoint that is not what its manifest says."""


def crc(array: np.ndarray) -> int:
    """Checksum of an array's bytes."""
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def describe(array: Any) -> list[Any]:
    """Shape and dtype, as a manifest has them."""
    return [list(array.shape), str(array.dtype)]


def file_digests(folder: Path) -> dict[str, list[Any]]:
    """Size and SHA-256 of every file below a folder, by its path from there."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[path.relative_to(folder).as_posix()] = [path.stat().st_size, digest]
    return found


def check_files(folder: Path, files: dict[str, list[Any]]) -> None:
    """Compares a step's folder with its manifest; what else lies there does not matter.

    Raises:
      Damaged: a file is missing or another.
      OSError: a file cannot be read now.
    """
    for name, (size, digest) in files.items():
        path = folder / name
        if not path.is_file():
            raise Damaged(f"{name} is missing")
        if path.stat().st_size != size:
            raise Damaged(f"{name} has {path.stat().st_size} bytes, not {size}")
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise Damaged(f"{name} does not match its checksum")


@dataclasses.dataclass
class Progress:
    """Where a run stands, beside its arrays; the session owns the one that moves.

    Attributes:
      best_score: of the stage's best validation; None before the first.
      validated: the step whose validation is the last that counts here.
    """

    step: int
    stage: int
    data: str
    best_score: float | None = None
    best_step: int = 0
    validated: int = 0
    hosts: int = 1
    config: dict[str, Any] = dataclasses.field(default_factory=dict)

    def enter(self, stage: int) -> None:
        """Begins a stage, whose best model is still to be found."""
        if stage != self.stage:
            self.stage, self.best_score, self.best_step = stage, None, 0


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A checkpoint but for its arrays.

    Attributes:
      arrays: name -> shape, dtype, checksum.
      files: path in the step's folder -> size, SHA-256.
    """

    progress: Progress
    arrays: dict[str, list[Any]]
    files: dict[str, list[Any]]

    def to_json(self) -> str:
        """The sealed text."""
        body = {
            "format": _FORMAT,
            "progress": dataclasses.asdict(self.progress),
            "arrays": self.arrays,
            "files": self.files,
        }
        return json.dumps({**body, "sha256": _seal(body)})

    @classmethod
    def read(cls, path: Path, step: int) -> Manifest:
        """Reads a manifest.

        Raises:
          Damaged: it is not whole, not sealed, or of another step.
          OSError: it cannot be read now.
        """
        try:
            values = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            raise Damaged("its manifest is cut short or no JSON") from None
        if not isinstance(values, dict) or "format" not in values:
            raise Damaged("its manifest is unsigned, as an earlier version wrote it")
        body = {key: values.get(key) for key in _SEALED}
        if values.get("sha256") != _seal(body) or set(values) - {*_SEALED, "sha256"}:
            raise Damaged("its manifest does not match its checksum")
        if values["format"] != _FORMAT:
            raise Damaged(f"it is a {values['format']!r}, this version reads {_FORMAT!r}")
        try:
            progress = Progress(**values["progress"])
        except TypeError:
            raise Damaged("another version of vqe_jax wrote its progress") from None
        if progress.step != step:
            raise Damaged(f"its manifest is that of step {progress.step}")
        return cls(progress, values["arrays"], values["files"])

    def templates(self) -> dict[str, np.ndarray]:
        """Empty arrays of the shapes and dtypes."""
        return {k: np.empty(s, jax.numpy.dtype(d)) for k, (s, d, _) in self.arrays.items()}

    def check_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Compares arrays with their checksums.

        Raises:
          Damaged: one is missing or another.
        """
        for name, (_, _, expected) in self.arrays.items():
            if name not in arrays or crc(arrays[name]) != expected:
                raise Damaged(f"{name} does not match its checksum")
        step = arrays.get("step")
        if step is not None and int(step) != self.progress.step:
            raise Damaged(f"its arrays are those of step {int(step)}")


def _seal(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
