"""However many clips there are, no more files are open at a time than for a few."""

import contextlib
import copy
import os
import resource

import numpy as np
import pytest

from tests.faults.media import make
from vqe_jax.data import open_pairs
from vqe_jax.data.build import build
from vqe_jax.data.pipeline import BatchSource, DataConfig
from vqe_jax.evaluation.clips import clips_from_pairs

CLIPS = 150


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Many pairs, each of which opens what it reads for itself."""
    folder = tmp_path_factory.mktemp("few")
    (folder / "videos").mkdir()
    for name in ("a", "b"):
        make(folder / "videos" / f"{name}.mkv", codec="ffv1", frames=6)
    options = {"source": str(folder / "videos"), "min_side": 32, "min_frames": 3, "workers": 1}
    build("clips", folder / "data", quiet=True, **options)
    found = [
        pair
        for split in ("train", "val")
        for pair in open_pairs(folder / "data", "clips", split, "qp37")
    ]
    return [copy.copy(found[n % len(found)]) for n in range(CLIPS)]


@contextlib.contextmanager
def few_handles():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_feed_of_training(pairs):
    source = BatchSource(pairs, DataConfig(frames=3, crop=16, batch=16), seed=0)
    with few_handles():
        seen = {name for n in range(40) for name in source[n]["name"]}
    assert len(seen) == 2


@pytest.mark.parametrize("side", ["raw", "compressed"])
def test_evaluation(pairs, side):
    with few_handles():
        means = {float(np.mean([f.mean() for f in clip.frames(side, "luma")]))
                 for clip in clips_from_pairs(pairs)}  # fmt: skip
    assert len(means) <= 2
