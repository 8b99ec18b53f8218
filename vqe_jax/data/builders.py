"""TFDS builders that need no TensorFlow: pairs of clips in array_record files.

The usual way is :func:`vqe_jax.data.build.build`; ``tfds.builder("mfqe_v2/qp37", data_dir=...)``
works too once this module is imported, and takes the videos from TFDS's manual folder.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from vqe_jax.data import record
from vqe_jax.data.encoding import encode_clip
from vqe_jax.data.parallel import map_clips
from vqe_jax.data.parts import load_part
from vqe_jax.data.sources import source
from vqe_jax.data.sources.common import Plan
from vqe_jax.errors import UserError

__all__ = [
    "VERSION",
    "Clips",
    "Demo",
    "JctVc",
    "Ldv",
    "MfqeV2",
    "PairsConfig",
    "builder_class",
    "planes_folder",
    "store_folder",
]

VERSION = "1.0.0"


def store_folder(data_dir: Path, dataset: str) -> Path:
    """Where a data set's clips are kept while it is being built.

    Args:
      data_dir: folder of all data sets.
      dataset: name of it.
    """
    return data_dir / dataset / ".parts"


def planes_folder(data_dir: Path, dataset: str) -> Path:
    """Where a data set's decoded planes are.

    Args:
      data_dir: folder of all data sets.
      dataset: name of it.
    """
    return data_dir / dataset / ".planes"


@dataclasses.dataclass(eq=False)
class PairsConfig(tfds.core.BuilderConfig):
    """A configuration of a data set of pairs.

    Attributes:
      preset: options of the data set, for a configuration that is known by its name.
    """

    preset: dict[str, Any] = dataclasses.field(default_factory=dict)


class _PairsBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """What the builders share: encode what is missing, then write the records."""

    VERSION = tfds.core.Version(VERSION)
    SOURCE: ClassVar[str]
    # Nothing is downloaded, so there are no checksums beside this file; TFDS would look for them
    # by means of a package (importlib_resources) that it does not require.
    code_path = None

    def __init__(self, *, plan: Plan | None = None, **kwargs: Any) -> None:
        self._planned = plan  # listed already; None: listed when the data set is prepared
        super().__init__(**{"file_format": "array_record", **kwargs})  # TFDS's own needs TensorFlow

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=(source(self.SOURCE).__doc__ or "").strip(),
            features=record.features(),
            # The metadata lists the pairs in the order of the records.
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _plan(self, manual_dir: Path) -> Plan:
        if self._planned is not None:
            return self._planned
        module, config = source(self.SOURCE), self.builder_config
        options = module.OPTIONS(**{"source": str(manual_dir), **config.preset})
        return next(p for p in module.plan(options) if p.config_name == config.name)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        root = Path(self._data_dir_root)
        plan = self._plan(Path(dl_manager._manual_dir or root / "manual" / self.name))
        store, planes = store_folder(root, self.name), planes_folder(root, self.name)
        listed = self._planned is not None  # then all are encoded already and only looked up
        found = map_clips(
            encode_clip,
            [(job, store, planes) for job in plan.jobs],
            label=plan.config_name,
            workers=1 if listed else None,
            quiet=listed,
        )
        splits: dict[str, list[tuple[record.PairInfo, str]]] = {}
        for job, info in zip(plan.jobs, found, strict=True):
            splits.setdefault(job.split, []).append((info, job.key))
        self.info.metadata.update(
            fingerprint=plan.fingerprint,
            keys={job.name: job.key for job in plan.jobs},
            plan=plan.description,
            splits={
                split: [info.to_json() for info, _ in found] for split, found in splits.items()
            },
        )
        return {
            split: self._generate_examples(store / key for _, key in found)
            for split, found in splits.items()
        }

    def _generate_examples(self, folders: Iterable[Path]) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, folder in enumerate(folders):
            part = load_part(folder)
            if part is None:
                raise UserError(f"{folder} was damaged while the data set was built; run again")
            raw, compressed = part.raw.read_bytes(), part.compressed.read_bytes()
            yield index, record.example(part.info, raw, compressed)


def _presets(dataset: str) -> list[PairsConfig]:
    presets = source(dataset).PRESETS
    return [PairsConfig(name=n, description=n, preset=o) for n, o in presets.items()]


class Clips(_PairsBuilder):
    """Any folder of videos, encoded at the QPs asked for."""

    SOURCE = "clips"
    BUILDER_CONFIGS = _presets("clips")


class Demo(_PairsBuilder):
    """Photographs set in motion; no download."""

    SOURCE = "demo"
    BUILDER_CONFIGS = _presets("demo")


class MfqeV2(_PairsBuilder):
    """The 108 training and 18 test sequences of MFQE 2.0."""

    SOURCE = "mfqe_v2"
    BUILDER_CONFIGS = _presets("mfqe_v2")


class JctVc(_PairsBuilder):
    """The 18 common test sequences of JCT-VC."""

    SOURCE = "jct_vc"
    BUILDER_CONFIGS = _presets("jct_vc")


class Ldv(_PairsBuilder):
    """The LDV videos of the NTIRE 2021 challenge."""

    SOURCE = "ldv"
    BUILDER_CONFIGS = _presets("ldv")


def builder_class(dataset: str) -> type[_PairsBuilder]:
    """The TFDS builder of a data set.

    Args:
      dataset: one of :func:`vqe_jax.data.sources.names`.
    """
    name = re.sub(r"(?:^|_)(\w)", lambda m: m[1].upper(), dataset)
    return globals()[name]
