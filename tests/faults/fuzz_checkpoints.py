"""Checkpoints made wrong, and disks that fill at any moment of a save."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import random
import resource
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from tests.faults.counts import Counts
from vqe_jax.training.checkpoints import Checkpoints, Progress

__all__ = ["disk_fills", "run"]

STEPS = (10, 20)


def state(step: int) -> dict[str, Any]:
    """A state whose arrays tell its step."""
    kernel = jnp.arange(600.0).reshape(20, 30) + step
    return {
        "params": {"kernel": kernel, "bias": jnp.full(7, step, jnp.float32)},
        "step": jnp.int32(step),
        "half": kernel.astype("bfloat16"),
    }


def progress(step: int) -> Progress:
    """What goes with it."""
    return Progress(
        step=step,
        stage=0,
        data=json.dumps({"next_index": step}),
        best_score=step / 8,
        best_step=step,
        validated=step,
        config={"model": "tiny", "steps": 90},
    )


def fill(folder: Path, *steps: int, keep: int = 2) -> None:
    """Saves some steps."""
    checkpoints = Checkpoints(folder, keep=keep, say=lambda _: None)
    for step in steps:
        checkpoints.save(state(step), progress(step))
    checkpoints.close()


def whole_step(folder: Path) -> int | None:
    """The step that a resume would go on from; it must be that to the bit.

    Raises:
      AssertionError: it is not.
    """
    checkpoints = Checkpoints(folder, say=lambda _: None)
    found = checkpoints.newest()
    if found is None:
        return None
    there, arrays = found
    assert there == progress(there.step), "another progress is taken"
    expected = state(there.step)
    for name, array in arrays.items():
        wanted = expected
        for part in name.split("."):
            wanted = wanted[part]
        np.testing.assert_array_equal(array, np.asarray(wanted), err_msg=name)
    checkpoints.begin()
    return there.step


def _contents(folder: Path) -> Counter[str]:
    files = (p for p in folder.rglob("*") if p.is_file() and p.stat().st_size)
    return Counter(hashlib.sha256(p.read_bytes()).hexdigest() for p in files)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file())


def _flip(rng: random.Random, folder: Path) -> None:
    path = rng.choice([p for p in _files(folder) if p.stat().st_size])
    blob = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 4))):
        blob[rng.randrange(len(blob))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(blob))


def _cut(rng: random.Random, folder: Path) -> None:
    path = rng.choice(_files(folder))
    os.truncate(path, rng.randrange(path.stat().st_size + 1))


def _lose_a_file(rng: random.Random, folder: Path) -> None:
    rng.choice(_files(folder)).unlink()


def _lose_a_folder(rng: random.Random, folder: Path) -> None:
    shutil.rmtree(rng.choice(sorted(p for p in folder.rglob("*") if p.is_dir())))


def _empty_a_step(rng: random.Random, folder: Path) -> None:
    step = folder / str(rng.choice(STEPS))
    shutil.rmtree(step)
    step.mkdir()


def _exchange(rng: random.Random, folder: Path) -> None:
    suffix = rng.choice(("", ".manifest.json"))
    a, b = (folder / f"{s}{suffix}" for s in STEPS)
    a.rename(folder / "third")
    b.rename(a)
    (folder / "third").rename(b)


def _digit(rng: random.Random, folder: Path) -> None:
    path = folder / f"{rng.choice(STEPS)}.manifest.json"
    text = list(path.read_text())
    # The progress comes first: most of what decides the next batch and stage.
    end = len(text) if rng.random() < 0.3 else min(300, len(text))
    at = rng.choice([i for i, c in enumerate(text[:end]) if c.isdigit()])
    text[at] = rng.choice("0123456789")
    path.write_text("".join(text))


def _rewrite(rng: random.Random, folder: Path) -> None:
    path = folder / f"{rng.choice(STEPS)}.manifest.json"
    manifest = json.loads(path.read_text())
    section = rng.choice(["progress", "progress", "arrays", "files", None])
    target = manifest if section is None else manifest[section]
    key = rng.choice(sorted(target))
    change = rng.randrange(3)
    if change == 0:
        del target[key]
    elif change == 1:
        target[key] = rng.choice((None, 0, -1, 10**12, "{}", [], {}, True, "float64"))
    else:
        target["another"] = target[key]
    path.write_text(json.dumps(manifest))


def _link(rng: random.Random, folder: Path) -> None:
    """A step that lies elsewhere, or a link beside the steps."""
    if rng.random() < 0.5:
        (folder / "latest").symlink_to(str(STEPS[-1]))
        return
    step = folder / str(rng.choice(STEPS))
    elsewhere = folder.parent / f"elsewhere_{step.name}"
    shutil.rmtree(elsewhere, ignore_errors=True)
    step.rename(elsewhere)
    step.symlink_to(elsewhere)


def _strangers(rng: random.Random, folder: Path) -> None:
    for name in rng.sample(["backup", "2024", "notes.manifest.json", "30", "x.part", ".cache"], 3):
        if name.endswith((".json", ".part")):
            (folder / name).write_text("mine")
        else:
            (folder / name).mkdir()
            (folder / name / "mine.txt").write_text(name)


def _unfinished(rng: random.Random, folder: Path) -> None:
    """As a kill in a save leaves it; this alone may be removed."""
    del rng
    (folder / "30.orbax-checkpoint-tmp" / "default").mkdir(parents=True)


HARMS: tuple[Callable[[random.Random, Path], None], ...] = (
    _flip,
    _flip,
    _cut,
    _lose_a_file,
    _lose_a_folder,
    _empty_a_step,
    _exchange,
    _digit,
    _digit,
    _rewrite,
    _rewrite,
    _link,
    _strangers,
    _unfinished,
)


def _harmed(rng: random.Random, source: Path, folder: Path, counts: Counts, what: str) -> None:
    shutil.copytree(source, folder, symlinks=True)
    harms = rng.sample(HARMS, rng.choice((1, 1, 1, 2)))
    what = f"{what}: {' and '.join(h.__name__ for h in harms)}"
    for harm in harms:
        with contextlib.suppress(OSError, ValueError, IndexError, KeyError):
            harm(rng, folder)  # the second may find nothing left of what the first took
    before = _contents(folder)
    try:
        step = whole_step(folder)
        if step is not None:
            fill(folder, 30)  # and the run can go on saving
            assert whole_step(folder) == 30
    except Exception as err:
        counts.refuse(what, err)
        step = None
    else:
        counts.accept(what, rightly=step in STEPS)
    if step is None and before - _contents(folder):
        counts.failed += 1
        counts.examples.append(f"{what}: files were lost")


@contextlib.contextmanager
def disk_fills(folder: Path, call: int, number: int = errno.ENOSPC) -> Iterator[list[int]]:
    """Makes every call from a certain one on that writes into a folder fail.

    Args:
      folder: the full disk.
      call: the first one that fails; -1: none.
      number: what the system says.

    Yields:
      A list whose length is the number of calls so far.
    """
    calls: list[int] = []
    real = {name: getattr(os, name) for name in ("replace", "rename", "mkdir", "fsync", "write")}
    real_open = io.open

    def guard(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            paths = [str(a) for a in args if isinstance(a, (str, os.PathLike))]
            if name == "fsync" or any(p.startswith(str(folder)) for p in paths):
                calls.append(1)
                if -1 < call < len(calls):
                    raise OSError(number, os.strerror(number), paths[0] if paths else None)
            return inner(*args, **kwargs)

        return wrapped

    def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if set(mode) & set("wax+") and str(file).startswith(str(folder)):
            calls.append(1)
            if -1 < call < len(calls):
                raise OSError(number, os.strerror(number), str(file))
        return real_open(file, mode, *args, **kwargs)

    for name in ("replace", "rename", "mkdir", "fsync"):
        setattr(os, name, guard(name, real[name]))
    io.open = opened  # type: ignore[assignment]
    try:
        yield calls
    finally:
        for name, inner in real.items():
            setattr(os, name, inner)
        io.open = real_open


@contextlib.contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """``ulimit -f``, in bytes: no less than a full disk, and felt by compiled code too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _full(rng: random.Random, folder: Path, counts: Counts, what: str) -> None:
    """A save with keep=1 that fails somewhere; the step before it must still be whole."""
    fill(folder, 10, keep=1)
    if rng.random() < 0.4:
        size = rng.choice((0, 1, 100, 300, 600, 1000, 2000, 3000, 4000))
        limit: Any = _largest_file(size)
        what = f"{what}: no file may have more than {size} bytes"
    else:
        call = rng.randrange(24)
        number = rng.choice((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS))
        limit = disk_fills(folder, call, number)
        what = f"{what}: {errno.errorcode[number]} from call {call} on"
    error: Exception | None = None
    with limit:
        try:
            fill(folder, 20, keep=1)
        except Exception as err:
            error = err
    try:
        step = whole_step(folder)
        rightly = step == 20 or (step == 10 and error is not None)
    except Exception as err:
        error, rightly = err, False
        counts.examples.append(f"{what}: {err}")
    if error is not None and rightly:
        counts.refuse(what, error)
    else:
        counts.accept(what, rightly=rightly)


def run(count: int, seed: int) -> Counts:
    """Resumes from wrong checkpoints, and saves on disks that are full.

    Args:
      count: how many times.
      seed: of what is wrong.
    """
    rng, counts = random.Random(seed), Counts()
    # A save that failed may have a thread left that is still writing, to a folder judged already.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        source = Path(place) / "source"
        fill(source, *STEPS)
        for number in range(count):
            folder = Path(place) / str(number) / "checkpoints"
            what = f"checkpoint {number} of seed {seed}"
            if rng.random() < 0.35:
                _full(rng, folder, counts, what)
            else:
                _harmed(rng, source, folder, counts, what)
            shutil.rmtree(folder.parent, ignore_errors=True)
    return counts
