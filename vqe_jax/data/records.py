"""The records of a built data set, read one at a time and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqe_jax.data.record import PairInfo
from vqe_jax.errors import UserError

__all__ = ["Records", "read_index"]


def read_index(path: Path) -> dict[str, Any] | None:
    """What a data set's metadata says about its pairs; None where there is no whole data set.

    Args:
      path: folder of the records.
    """
    try:
        whole = (path / "dataset_info.json").is_file()
        return json.loads((path / "metadata.json").read_text()) if whole else None
    except (OSError, ValueError):
        return None


class Records:
    """The records of one configuration, by the names of their pairs.

    Args:
      path: folder of the records.

    Raises:
      UserError: there is no data set.
    """

    def __init__(self, path: Path) -> None:
        index = read_index(path)
        if index is None:
            raise UserError(f"{path} holds no data set; build it again")
        self.path = path
        self._places = {
            values["name"]: (split, at, PairInfo.from_json(values))
            for split, pairs in index["splits"].items()
            for at, values in enumerate(pairs)
        }
        self._sources: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def info(self, name: str) -> PairInfo:
        """What the metadata says about a pair.

        Args:
          name: of the pair.
        """
        return self._places[name][2]

    def read(self, name: str) -> Mapping[str, Any]:
        """A record, with both clips checked against their SHA-256.

        Args:
          name: of the pair.

        Raises:
          UserError: it is damaged.
        """
        split, at, info = self._places[name]
        damaged = UserError(
            f"{self.path}: the record of {name!r} is damaged; build the data set again with --check"
        )
        try:
            record = self._source(split)[at]
        except (RuntimeError, ValueError, IndexError, OSError) as err:
            raise damaged from err
        for which, sha in (("raw", info.raw_sha256), ("compressed", info.compressed_sha256)):
            if hashlib.sha256(record[which]).hexdigest() != sha:
                raise damaged
        return record

    def _source(self, split: str) -> Any:
        if split not in self._sources:
            import tensorflow_datasets as tfds

            builder = tfds.builder_from_directory(str(self.path))
            self._sources[split] = builder.as_data_source(split=split)
        return self._sources[split]

    def damaged(self) -> list[str]:
        """The names of the pairs whose records are damaged; reads everything."""
        return [name for name in self._places if not self._whole(name)]

    def _whole(self, name: str) -> bool:
        try:
            self.read(name)
        except UserError:
            return False
        return True
