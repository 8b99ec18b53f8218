"""Frames in a file: sealed when they are written, checked when opened, read when asked for.

Nothing is mapped and nothing stays open. A file that shrinks under its reader is an error and not
the end of the process, and any number of clips needs no handle; one read a frame costs no more than
touching the pages of a map.

Beside a file ``NAME`` lies ``NAME.sum`` with its name, size and a CRC-32 of every 4 MiB. It is
compared when a process first opens the file: all of it up to 256 MiB, of a larger one as much,
spread over the file. ``python -m vqe_jax.data ... --check`` reads everything.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vqe_jax.errors import EnvironmentFailure, in_words
from vqe_jax.files import replacing

__all__ = ["StoredFrames", "is_whole", "move_sealed", "write_sealed"]

_BLOCK = 4 << 20
_SAMPLE = 64  # blocks
_verified: dict[Path, tuple[int, int, int]] = {}


class StoredFrames:
    """A file of frames as an array ``[t, ...]`` of uint8; what is indexed is read.

    Args:
      shape: of one, ``[n]``, ``[h, w]`` or ``[h, w, c]``.
      stride: bytes from a frame to the next; None: those of one.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, path: Path, frames: int, shape: tuple[int, ...], *, stride: int | None = None
    ) -> None:
        self.path, self.shape = path, (frames, *shape)
        self._row = int(np.prod(shape[1:]))
        self._stride = stride or int(np.prod(shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy
        return self[:] if dtype is None else self[:].astype(dtype)

    def __getitem__(self, at: Any) -> np.ndarray:
        """Frames, or parts of them: numbers or a slice of time, a slice of rows, and the rest."""
        at = at if isinstance(at, tuple) else (at,)
        times, rows, rest = at[0], at[1] if len(at) > 1 else slice(None), at[2:]
        first, last, step = rows.indices(self.shape[1])
        if step != 1:
            raise IndexError("rows of stored frames follow each other")
        numbers = np.arange(len(self))[times]
        found = self._read(np.atleast_1d(numbers), first, max(last - first, 0))
        found = found[(slice(None), slice(None), *rest)]
        return found if np.ndim(numbers) else found[0]

    def _read(self, numbers: np.ndarray, first: int, rows: int) -> np.ndarray:
        found = np.empty((len(numbers), rows * self._row), np.uint8)
        try:
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as err:
            raise EnvironmentFailure(f"{self.path}: {in_words(err)}, while it was in use") from err
        try:
            for out, number in zip(found, numbers, strict=True):
                place = int(number) * self._stride + first * self._row
                if os.preadv(descriptor, [out.data], place) != out.size:
                    raise EnvironmentFailure(f"{self.path} was cut short while it was in use")
        except OSError as err:
            raise EnvironmentFailure(f"{self.path}: {in_words(err)}") from err
        finally:
            os.close(descriptor)
        return found.reshape(len(numbers), rows, *self.shape[2:])


@contextlib.contextmanager
def write_sealed(path: Path) -> Iterator[Path]:
    """As :func:`vqe_jax.files.replacing`, for a file that :func:`is_whole` will be asked about."""
    with replacing(path) as part:
        yield part
        seal = _seal_of(part, path.name)
    _put_seal(path, seal)


def move_sealed(source: Path, target: Path) -> None:
    """Moves a finished file of the same file system to where :func:`is_whole` will look for it."""
    seal = _seal_of(source, target.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
    _put_seal(target, seal)


def _seal_of(file: Path, name: str) -> dict[str, Any]:
    sums = [zlib.crc32(block) for _, block in _blocks(file)]
    return {"name": name, "size": file.stat().st_size, "crc32": sums}


def _put_seal(path: Path, seal: dict[str, Any]) -> None:
    with replacing(_sum(path)) as part:
        part.write_text(json.dumps(seal))
    _verified[path.absolute()] = _identity(path)


def is_whole(path: Path, size: int, *, everything: bool = False) -> bool:
    """Whether a file is there, as long as it must be, and what was written.

    Args:
      everything: read all of it, and not only what has not been read yet by this process.
    """
    try:
        if path.stat().st_size != size:
            return False
        key, identity = path.absolute(), _identity(path)
        if not everything and _verified.get(key) == identity:
            return True
        seal = json.loads(_sum(path).read_text())
        if seal["name"] != path.name or seal["size"] != size:
            raise ValueError("the seal of another file")
        sums = seal["crc32"]
        for index, block in _blocks(path, sample=None if everything else _SAMPLE):
            if zlib.crc32(block) != sums[index]:
                raise ValueError("another checksum")
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, IndexError, TypeError):
        print(f"{path} does not match its checksum and is not used", file=sys.stderr)
        return False
    _verified[key] = identity
    return True


def _sum(path: Path) -> Path:
    return path.with_name(f"{path.name}.sum")


def _identity(path: Path) -> tuple[int, int, int]:
    about = path.stat()
    return about.st_ino, about.st_size, about.st_mtime_ns


def _blocks(path: Path, sample: int | None = None) -> Iterator[tuple[int, bytes]]:
    count = -(-path.stat().st_size // _BLOCK)
    chosen: Any = range(count)
    if sample is not None and count > sample:
        chosen = np.unique(np.linspace(0, count - 1, sample).astype(int)).tolist()
    with path.open("rb") as file:
        for index in chosen:
            file.seek(index * _BLOCK)
            yield index, file.read(_BLOCK)
