"""Building a data set: plan, make the clips in parallel processes, write the index.

What is made is kept, so that an interrupted build goes on where it stopped, and a data set that is
changed (a clip more, another split) makes only what is new. A data set that is up to date is left
alone.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from vqe_jax.data.encode_clips import encode_clips
from vqe_jax.data.jobs import ClipJob
from vqe_jax.data.pair import Pair, PairInfo, open_pairs
from vqe_jax.data.sources import find_source
from vqe_jax.data.sources.base import Plan, Source
from vqe_jax.data.store import Store
from vqe_jax.errors import UserError, near_misses

__all__ = ["Built", "build", "make_plans", "print_summary"]


@dataclasses.dataclass(frozen=True)
class Built:
    """One configuration of a data set on disk."""

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
      dataset: a name in :data:`vqe_jax.data.sources.SOURCES`, or ``"module:Class"``.
      workers: processes that encode; None: as many as there are cores.
      planes: keep the decoded clips, rather than decode them when they are first read.
      check: read every stream of what is up to date, and make damaged ones anew.
      **options: fields of the source's ``Options``.

    Returns:
      What was built, one entry a configuration (a QP, say).

    Raises:
      UserError: an unknown option, a source that is missing or unreadable, a pair that does not
        match; names the file.
    """
    source = find_source(dataset)
    plans = source.plan(_options(source, options))
    store = Store(data_dir, source.name)
    with store.alone():
        stale = [p for p in plans if not _up_to_date(store, p, check)]
        if stale:
            from vqe_jax.data.tfds_builder import write_version

            # Rounds are used while the next ones are made; otherwise all cores are kept busy.
            together = [[plan] for plan in stale] if options.get("rounds", 1) > 1 else [stale]
            for some in together:
                indices = make_plans(source, store, some, workers=workers, quiet=quiet)
                for plan, index in zip(some, indices, strict=True):
                    write_version(source, store, plan.config_name, index)
            store.tidy()
            if not planes:
                shutil.rmtree(store.planes, ignore_errors=True)
    return tuple(_built(store, plan) for plan in plans)


def _options(source: Source, options: dict[str, Any]) -> Any:
    known = {f.name: f for f in dataclasses.fields(source.Options)}
    for key, value in options.items():
        if key not in known:
            hint = near_misses(key, known)
            raise UserError(f"data set {source.name!r} has no option {key!r}{hint}")
        if isinstance(known[key].default, tuple) and not isinstance(value, tuple):
            options[key] = tuple(value) if isinstance(value, list) else (value,)
    return source.Options(**options)


def _up_to_date(store: Store, plan: Plan, check: bool) -> bool:
    index = store.index(plan.config_name)
    if index is None or index.get("fingerprint") != plan.fingerprint:
        return False
    if not check:
        return True
    for pairs in index["splits"].values():
        for info in map(PairInfo.from_json, pairs):
            for planes in (info.planes(side, store.planes) for side in ("raw", "compressed")):
                if planes.is_damaged:  # they are decoded anew when they are next used
                    planes.path.unlink(missing_ok=True)
                    planes.path.with_suffix(".rgb").unlink(missing_ok=True)
    return not store.damaged(index)


def make_plans(
    source: Source, store: Store, plans: Sequence[Plan], *, workers: int | None, quiet: bool
) -> list[dict[str, Any]]:
    """Makes the pairs of some configurations.

    Args:
      workers: processes that encode; None: as many as there are cores.

    Returns:
      The index of each.
    """
    if not quiet:
        for note in dict.fromkeys(note for plan in plans for note in plan.notes):
            Console(stderr=True, markup=False).print(note, highlight=False)
    jobs = [job for plan in plans for job in plan.jobs]
    infos = iter(encode_clips(jobs, store, label=source.name, workers=workers, quiet=quiet))
    return [_index(plan, [(job, next(infos)) for job in plan.jobs]) for plan in plans]


def _index(plan: Plan, made: Sequence[tuple[ClipJob, PairInfo]]) -> dict[str, Any]:
    splits: dict[str, list[dict[str, Any]]] = {}
    for job, info in made:
        splits.setdefault(job.split, []).append(dataclasses.asdict(info))
    return {
        "fingerprint": plan.fingerprint,
        "plan": plan.description,
        "keys": {job.name: [job.raw_key, job.key] for job, _ in made},
        "splits": splits,
    }


def _built(store: Store, plan: Plan) -> Built:
    splits = sorted({job.split for job in plan.jobs})
    pairs = {s: open_pairs(store.root, store.dataset, s, plan.config_name) for s in splits}
    path = store.version_folder(plan.config_name)
    return Built(store.dataset, plan.config_name, path, pairs)


def print_summary(built: Sequence[Built], console: Console | None = None) -> None:
    """Prints what is in each split of what was built, and how to use it.

    Args:
      built: by :func:`build`.
      console: to print to; None: standard output.
    """
    console = console or Console(markup=False)
    table = Table("data set", "configuration", "split")
    for column in ("clips", "frames", "duplicates", "mean PSNR-Y dB", "mean kbit/s"):
        table.add_column(column, justify="right")
    for one in built:
        for split, pairs in one.pairs.items():
            infos = [p.info for p in pairs]
            rates = [i.kbps for i in infos if i.fps]
            table.add_row(
                one.dataset,
                one.config_name,
                split,
                str(len(infos)),
                str(sum(i.frames for i in infos)),
                str(sum(len(i.duplicates) for i in infos)),
                f"{np.mean([i.psnr_y for i in infos]):.2f}",
                f"{np.mean(rates):.0f}" if rates else "?",
            )
    console.print(table)
    root = built[0].path.parents[2]
    configs = ", ".join(repr(one.config_name) for one in built)
    console.print(
        f"In {root}: data_dir={str(root)!r}, dataset={built[0].dataset!r}, config_name={configs}",
        soft_wrap=True,
        highlight=False,
    )
