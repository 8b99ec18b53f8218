"""The data sets as TensorFlow Datasets names, versions and opens them; no TensorFlow is needed.

Once this module is imported, ``tfds.builder("mfqe_v2/qp37", data_dir=...)`` gives a builder whose
``as_data_source("train[:10%]")`` reads examples out of the store: the facts of each pair, and both
streams. Nothing is kept a second time for it. ``download_and_prepare`` builds a configuration that
is known by its name, from videos in TFDS's manual folder.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from vqe_jax.data.build import make_plans
from vqe_jax.data.pair import PairInfo
from vqe_jax.data.sources import SOURCES, find_source
from vqe_jax.data.sources.base import Source
from vqe_jax.data.store import VERSION, Store

__all__ = ["Examples", "PairsBuilder", "builder_class", "write_version"]

_KINDS = {"str": tfds.features.Text(), "int": np.int64, "float": np.float64}
_NUMBERS = tfds.features.Tensor(shape=(None,), dtype=np.int32)


class Examples(Sequence[dict[str, Any]]):
    """Examples of a split, read when asked for: every field of :class:`PairInfo`, and two streams.

    Args:
      infos: of the pairs, in order.
    """

    def __init__(self, store: Store, infos: Sequence[PairInfo]) -> None:
        self._store, self._infos = store, infos

    def __len__(self) -> int:
        return len(self._infos)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return Examples(self._store, self._infos[at])
        info = self._infos[at]
        facts = {name: _plain(value) for name, value in dataclasses.asdict(info).items()}
        streams = {
            side: self._store.whole_stream(
                info.stream(side), getattr(info, f"{side}_sha256")
            ).read_bytes()
            for side in ("raw", "compressed")
        }
        return facts | streams


def _plain(value: Any) -> Any:
    """As TFDS gives values back: text as bytes, numbers as NumPy's."""
    if isinstance(value, str):
        return value.encode()
    return np.array(value, np.int32) if isinstance(value, tuple) else value


class PairsBuilder(tfds.core.DatasetBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A builder over the store; :func:`builder_class` makes one for each source."""

    VERSION = tfds.core.Version(VERSION)
    SOURCE: Source
    # Nothing is downloaded, so there are no checksums beside this file; TFDS would look for them
    # by means of a package (importlib_resources) that it does not require.
    code_path = None

    @property
    def _store(self) -> Store:
        return Store(self._data_dir_root, self.name)

    def _info(self) -> tfds.core.DatasetInfo:
        blob = tfds.features.Tensor(shape=(), dtype=np.object_)
        fields = {f.name: _KINDS.get(str(f.type), _NUMBERS) for f in dataclasses.fields(PairInfo)}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.SOURCE.description,
            features=tfds.features.FeaturesDict({**fields, "raw": blob, "compressed": blob}),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def write(self, folder: Path, index: dict[str, Any]) -> None:
        """Writes a configuration: TFDS's description of it, and the index as its metadata."""
        splits = [
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=[len(pairs)],
                num_bytes=sum(p["raw_bytes"] + p["compressed_bytes"] for p in pairs),
                filename_template=tfds.core.ShardedFileTemplate(
                    data_dir=folder, dataset_name=self.name, split=split, filetype_suffix="stream"
                ),
            )
            for split, pairs in index["splits"].items()
        ]
        self.info.set_splits(tfds.core.splits.SplitDict(splits))
        self.info.metadata.update(index)
        folder.mkdir(parents=True, exist_ok=True)
        self.info.write_to_directory(folder)

    def as_data_source(self, split: Any = None, **_: Any) -> Any:
        """Examples that are read when they are asked for.

        Args:
          split: in TFDS's language, ``"train"``, ``"train[:10%]+val"``; a list or a dictionary of
            such; None: a dictionary of all.

        Raises:
          UserError: the configuration has not been built.
        """
        index = self._store.required_index(str(self.builder_config.name))["splits"]
        if split is None:
            split = {name: name for name in index}
        if isinstance(split, dict):
            return {name: self.as_data_source(part) for name, part in split.items()}
        if isinstance(split, list | tuple):
            return [self.as_data_source(part) for part in split]
        absolute = tfds.core.splits.AbstractSplit.from_spec(split).to_absolute(self.info.splits)
        infos = [
            PairInfo.from_json(pair)
            for part in absolute
            for pair in index[part.splitname][part.from_ : part.to]
        ]
        return Examples(self._store, infos)

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        del download_config
        manual = dl_manager._manual_dir
        config = self.builder_config
        options = self.SOURCE.Options(**{"source": str(manual), **config.preset})
        plan = next(p for p in self.SOURCE.plan(options) if p.config_name == config.name)
        (index,) = make_plans(self.SOURCE, self._store, [plan], workers=None, quiet=False)
        self.write(Path(self.data_dir), index)

    def _as_dataset(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("use as_data_source, which needs no TensorFlow")


@dataclasses.dataclass(eq=False)
class PairsConfig(tfds.core.BuilderConfig):
    """A configuration of a data set of pairs.

    Attributes:
      preset: options of the source, for a configuration that is known by its name.
    """

    preset: dict[str, Any] = dataclasses.field(default_factory=dict)


@functools.cache
def builder_class(dataset: str) -> type[PairsBuilder]:
    """The TFDS builder of a data set, registered under its name.

    Args:
      dataset: a name in :data:`vqe_jax.data.sources.SOURCES`, or ``"module:Class"``.
    """
    return _class_of(type(find_source(dataset)))


@functools.cache
def _class_of(source: type[Source]) -> type[PairsBuilder]:
    presets = source.presets.items()
    configs = [PairsConfig(name=n, description=n, preset=preset) for n, preset in presets]
    members = {"name": source.name, "SOURCE": source(), "BUILDER_CONFIGS": configs}
    return type(source.__name__, (PairsBuilder,), {"__module__": __name__, **members})


def write_version(source: Source, store: Store, config_name: str, index: dict[str, Any]) -> None:
    """Writes a configuration into its folder, which appears when it is whole."""
    kind = _class_of(type(source))
    known = config_name in kind.builder_configs
    config = config_name if known else PairsConfig(name=config_name, description=index["plan"])
    folder = store.version_folder(config_name)
    unfinished = store.workshop(f"{config_name}.index")
    for left in (unfinished, folder):
        shutil.rmtree(left, ignore_errors=True)
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)  # TFDS warns of every configuration that is not known by its name
    try:
        kind(data_dir=str(store.root), config=config).write(unfinished, index)
    finally:
        absl.setLevel(level)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished.rename(folder)


for _name in SOURCES.names():
    builder_class(_name)
