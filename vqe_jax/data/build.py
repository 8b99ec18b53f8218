"""Building a data set: plan, encode in parallel processes, write the records.

What is encoded is kept until the data set is whole, so that an interrupted build goes on where it
stopped, and a data set that is changed (a clip more, another split) takes what is unchanged out of
its former records. A data set that is up to date is left alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

try:
    import fcntl
except ModuleNotFoundError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

from vqe_jax.data.encoding import encode_clip
from vqe_jax.data.pairs import Pair, open_pairs
from vqe_jax.data.parallel import map_clips
from vqe_jax.data.parts import salvage
from vqe_jax.data.records import Records, read_index
from vqe_jax.data.sources import source
from vqe_jax.data.sources.common import Plan
from vqe_jax.errors import UserError, near_misses

__all__ = ["Built", "build"]


@dataclasses.dataclass(frozen=True)
class Built:
    """One configuration of a data set on disk.

    Attributes:
      dataset: its name.
      config_name: of the configuration.
      path: of its records.
      pairs: by split.
    """

    dataset: str
    config_name: str
    path: Path
    pairs: Mapping[str, tuple[Pair, ...]]


def build(
    dataset: str,
    data_dir: str | os.PathLike[str],
    *,
    workers: int | None = None,
    planes: bool = True,
    check: bool = False,
    quiet: bool = False,
    **options: Any,
) -> tuple[Built, ...]:
    """Builds a data set, or completes one.

    Args:
      dataset: ``"clips"``, ``"demo"``, ``"mfqe_v2"``, ``"jct_vc"`` or ``"ldv"``.
      data_dir: folder of all data sets.
      workers: processes that encode; None: as many as there are cores.
      planes: decode the clips into planes now rather than when they are first read.
      check: read every record of what is up to date, and make damaged ones anew.
      quiet: no progress bar.
      **options: fields of the data set's options, ``vqe_jax.data.sources.NAME.OPTIONS``.

    Returns:
      What was built, one entry a configuration (a QP, say).

    Raises:
      UserError: an unknown option, a source that is missing or unreadable, a pair that does not
        match; names the file.
    """
    plans = source(dataset).plan(_options(dataset, options))
    root = Path(data_dir).expanduser()
    with _alone(root / dataset):
        stale = [p for p in plans if not _up_to_date(root, dataset, p, check)]
        if stale:
            _salvage(root, dataset, stale)
            _encode(root, dataset, stale, workers, planes, quiet)
            for plan in stale:
                _write(root, dataset, plan)
            _tidy(root, dataset)
    return tuple(_built(root, dataset, plan) for plan in plans)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second build out of a data set's folder; the system ends it with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(
                    f"{folder} is being built by another process; wait for it"
                ) from None
        yield


def _options(dataset: str, options: dict[str, Any]) -> Any:
    kind = source(dataset).OPTIONS
    known = {f.name: f for f in dataclasses.fields(kind)}
    for key, value in options.items():
        if key not in known:
            raise UserError(f"data set {dataset!r} has no option {key!r}{near_misses(key, known)}")
        if isinstance(known[key].default, tuple) and not isinstance(value, tuple):
            options[key] = tuple(value) if isinstance(value, list) else (value,)
    return kind(**options)


def _path(root: Path, dataset: str, config_name: str) -> Path:
    from vqe_jax.data.builders import VERSION

    return root / dataset / config_name / VERSION


def _up_to_date(root: Path, dataset: str, plan: Plan, check: bool) -> bool:
    path = _path(root, dataset, plan.config_name)
    index = read_index(path)
    if index is None or index.get("fingerprint") != plan.fingerprint:
        return False
    return not check or not Records(path).damaged()


def _salvage(root: Path, dataset: str, plans: list[Plan]) -> None:
    """Takes what is unchanged out of former records."""
    from vqe_jax.data.builders import store_folder

    for plan in plans:
        path = _path(root, dataset, plan.config_name)
        index = read_index(path)
        if index is None:
            continue
        kept = index.get("keys", {})
        wanted = {job.name: job.key for job in plan.jobs if kept.get(job.name) == job.key}
        salvage(Records(path), wanted, store_folder(root, dataset))


def _encode(
    root: Path, dataset: str, plans: list[Plan], workers: int | None, planes: bool, quiet: bool
) -> None:
    from vqe_jax.data.builders import planes_folder, store_folder

    store = store_folder(root, dataset)
    kept = planes_folder(root, dataset) if planes else None
    jobs = [(job, store, kept) for plan in plans for job in plan.jobs]
    map_clips(encode_clip, jobs, label=f"{dataset}: encoding", workers=workers, quiet=quiet)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """TFDS prints and shows bars of its own; here there is one bar."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    level = logging.getLogger("absl").level
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.getLogger("absl").setLevel(level)


def _write(root: Path, dataset: str, plan: Plan) -> None:
    from vqe_jax.data.builders import PairsConfig, builder_class, store_folder

    path = _path(root, dataset, plan.config_name)
    shutil.rmtree(path, ignore_errors=True)
    for left in path.parent.glob("incomplete.*"):
        shutil.rmtree(left)
    kind, name = builder_class(dataset), plan.config_name
    known = name in kind.builder_configs
    config = name if known else PairsConfig(name=name, description=plan.description)
    with _silenced():
        builder = kind(plan=plan, data_dir=str(root), config=config)
        builder.download_and_prepare(download_dir=str(store_folder(root, dataset) / "downloads"))


def _tidy(root: Path, dataset: str) -> None:
    """Removes parts, which the records now hold, and planes that no record needs any more."""
    from vqe_jax.data.builders import planes_folder, store_folder

    shutil.rmtree(store_folder(root, dataset))
    needed = set()
    for metadata in (root / dataset).glob("*/*/metadata.json"):
        for pairs in (read_index(metadata.parent) or {}).get("splits", {}).values():
            for pair in pairs:
                needed |= {pair["raw_sha256"][:32], pair["compressed_sha256"][:32]}
    for file in planes_folder(root, dataset).glob("*"):
        if file.name[:32] not in needed:
            file.unlink()


def _built(root: Path, dataset: str, plan: Plan) -> Built:
    splits = sorted({job.split for job in plan.jobs})
    pairs = {s: open_pairs(root, dataset, s, plan.config_name) for s in splits}
    path = _path(root, dataset, plan.config_name)
    return Built(dataset, plan.config_name, path, pairs)
