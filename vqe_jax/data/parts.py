"""What has been encoded so far: one checked folder a clip, kept across interrupts.

``KEY/`` holds ``raw.h264``, the compressed stream and ``part.json`` with their SHA-256. It is
written as ``KEY.part`` and renamed when it is whole; a folder whose files do not fit their
checksums is made anew. When the data set is complete its records hold the same bytes, so the
folders are removed; if the set is to be changed later, :func:`salvage` takes out of its records
what can be used again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from vqe_jax.data.record import PairInfo
from vqe_jax.data.records import Records
from vqe_jax.errors import UserError

__all__ = ["Part", "file_sha256", "load_part", "salvage", "write_manifest"]

_MANIFEST = "part.json"


class Part:
    """An encoded pair on disk.

    Attributes:
      folder: that holds it.
      info: what is known about the pair.
    """

    def __init__(self, folder: Path, info: PairInfo) -> None:
        self.folder = folder
        self.info = info

    @property
    def raw(self) -> Path:
        """The losslessly coded clip."""
        return self.folder / f"raw.{self.info.raw_format}"

    @property
    def compressed(self) -> Path:
        """The stream that an encoder wrote."""
        return self.folder / f"compressed.{self.info.compressed_format}"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits.

    Args:
      path: of it.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, info: PairInfo) -> None:
    """Writes down what a folder holds; the last thing written to it.

    Args:
      folder: with the two clips in it.
      info: what is known about the pair, checksums included.
    """
    (folder / _MANIFEST).write_text(json.dumps(info.to_json(), indent=1))


def load_part(folder: Path) -> Part | None:
    """The pair in a folder, or None where there is none that is whole.

    Args:
      folder: of one key.
    """
    try:
        values = json.loads((folder / _MANIFEST).read_text())
        part = Part(folder, PairInfo.from_json(values))
        whole = (
            file_sha256(part.raw) == part.info.raw_sha256
            and file_sha256(part.compressed) == part.info.compressed_sha256
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return part if whole else None


def salvage(records: Records, wanted: Mapping[str, str], store: Path) -> int:
    """Takes clips that are still wanted out of an older build's records; damaged ones are left.

    Args:
      records: of the older build.
      wanted: key of each pair whose job is unchanged, by its name.
      store: folder of the parts.

    Returns:
      How many were taken.
    """
    taken = 0
    for name, key in wanted.items():
        if (store / key).exists() or name not in records:
            continue
        try:
            record = records.read(name)
        except UserError:
            continue
        folder = store / f"{key}.part"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        part = Part(folder, records.info(name))
        part.raw.write_bytes(record["raw"])
        part.compressed.write_bytes(record["compressed"])
        write_manifest(folder, part.info)
        folder.rename(store / key)
        taken += 1
    return taken
