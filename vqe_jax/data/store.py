"""A data set on disk: each stream once, what is known of it, and an index a configuration.

``DATASET/.streams/SHA.EXT`` holds the bitstreams, named by their content: what two pairs share (the
raw clip of several encodings) is there once. ``.facts/KEY.json`` says what has been made of which
job, and is written last: what it tells of is whole, so that an interrupted build goes on where it
stopped and a changed one makes only what is new. ``.planes`` holds the decoded clips
(:mod:`vqe_jax.data.planes`). ``CONFIG/VERSION/`` is the configuration as TensorFlow Datasets names
and versions it; its ``metadata.json`` is the index that lists the pairs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from vqe_jax.errors import UserError, near_misses
from vqe_jax.files import alone, replacing

__all__ = ["VERSION", "Store", "file_sha256", "round_name"]

VERSION = "2.0.0"


class Store:
    """The folder of one data set."""

    def __init__(self, data_dir: str | os.PathLike[str], dataset: str) -> None:
        self.dataset = dataset
        self.root = Path(data_dir).expanduser()
        self.folder = self.root / dataset
        self.planes = self.folder / ".planes"
        self._streams, self._facts = self.folder / ".streams", self.folder / ".facts"

    def alone(self) -> AbstractContextManager[None]:
        """Keeps a second build out; the system ends it with the process.

        Raises:
          UserError: another process is building.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        return alone(self.folder, f"{self.folder} is being built by another process; wait for it")

    def is_being_built(self) -> bool:
        """Whether a build is under way."""
        try:
            with self.alone():
                return False
        except UserError:
            return True

    def workshop(self, key: str) -> Path:
        """A folder for what is being made under a key."""
        return self.folder / ".unfinished" / key

    def stream(self, name: str) -> Path:
        """Where a stream is."""
        return self._streams / name

    def whole_stream(self, name: str, sha256: str) -> Path:
        """Where a stream is, compared with its SHA-256.

        Raises:
          UserError: it is gone or damaged.
        """
        path = self.stream(name)
        if not path.is_file() or file_sha256(path) != sha256:
            raise UserError(f"{path} is missing or damaged; build the data set again with --check")
        return path

    def take_in(self, file: Path) -> tuple[str, str, int]:
        """Moves a finished stream in; returns its SHA-256, suffix and length."""
        sha, suffix, size = file_sha256(file), file.name.partition(".")[2], file.stat().st_size
        target = self.stream(f"{sha[:32]}.{suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
        return sha, suffix, size

    def facts(self, key: str) -> dict[str, Any] | None:
        """What is known of what was made under a key; None where it was not, or is damaged."""
        try:
            facts = json.loads((self._facts / f"{key}.json").read_text())
        except (OSError, ValueError):
            return None
        side = "raw" if "raw_sha256" in facts else "compressed"
        sha = facts[f"{side}_sha256"]
        path = self.stream(f"{sha[:32]}.{facts[f'{side}_format']}")
        return facts if path.is_file() and file_sha256(path) == sha else None

    def keep_facts(self, key: str, facts: dict[str, Any]) -> None:
        """Writes down what was made under a key; the last thing that is done to it."""
        with replacing(self._facts / f"{key}.json") as part:
            part.write_text(json.dumps(facts))

    def version_folder(self, config_name: str) -> Path:
        """Of a configuration, in this version of the form."""
        return self.folder / config_name / VERSION

    def index(self, config_name: str) -> dict[str, Any] | None:
        """Lists the pairs of a configuration by split; None where it is not whole."""
        path = self.version_folder(config_name)
        try:
            whole = (path / "dataset_info.json").is_file()
            return json.loads((path / "metadata.json").read_text()) if whole else None
        except (OSError, ValueError):
            return None

    def required_index(self, config_name: str) -> dict[str, Any]:
        """As :meth:`index`.

        Raises:
          UserError: no such configuration, or one of an older form; says how to build it.
        """
        index = self.index(config_name)
        if index is not None:
            return index
        command = f"python -m vqe_jax.data {self.dataset} --data-dir {self.root}"
        old = [p.parent.name for p in (self.folder / config_name).glob("*/dataset_info.json")]
        if old:
            raise UserError(
                f"{self.folder / config_name} has the older form {old[0]}, which is not read any "
                f"more; build it again with the options it had ({command} ...), then remove "
                f"{self.folder / config_name / old[0]}"
            )
        there = self.config_names()
        known = near_misses(config_name, there) if there else ""
        raise UserError(
            f"no data set {self.dataset}/{config_name} in {self.root}{known}; build it: {command}"
        )

    def config_names(self) -> list[str]:
        """The configurations that are there."""
        return sorted(p.parents[1].name for p in self.folder.glob(f"*/{VERSION}/metadata.json"))

    def damaged(self, index: dict[str, Any]) -> bool:
        """Whether a stream that an index speaks of is damaged; reads them all."""
        keys = {key for pair in index["keys"].values() for key in pair}
        return any(self.facts(key) is None for key in keys)

    def tidy(self) -> None:
        """Removes what no configuration needs any more."""
        names, keys = set(), set()
        for config_name in self.config_names():
            index = self.index(config_name) or {"splits": {}, "keys": {}}
            keys |= {key for pair in index["keys"].values() for key in pair}
            for pairs in index["splits"].values():
                names |= {p[f"{side}_sha256"][:32] for p in pairs for side in ("raw", "compressed")}
        shutil.rmtree(self.folder / ".unfinished", ignore_errors=True)
        for folder in (self.planes, self._streams, self._facts):
            needed = keys if folder == self._facts else names
            for file in folder.glob("*"):
                if file.name[:32] not in needed:
                    file.unlink()


def round_name(config_name: str, number: int) -> str:
    """The configuration of a round of encodings; round 0 is the configuration itself.

    Example:
      >>> round_name("mixed", 0), round_name("scenes/mixed", 2)
      ('mixed', 'scenes/mixed_r2')
    """
    return f"{config_name}_r{number}" if number else config_name


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
