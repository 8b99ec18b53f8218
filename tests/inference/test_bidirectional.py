import errno
import tempfile

import jax
import numpy as np
import pytest

from tests.inference.networks import BothNet, variables_of
from vqe_jax.errors import EnvironmentFailure
from vqe_jax.inference.bidirectional import Spill, exact

NETWORK = BothNet()


def clip_of(frames):
    return np.random.default_rng(0).random((frames, 10, 14, 1), np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_spill_gives_back_any_tree_in_any_order(folder):
    spill = Spill()
    trees = [{"a": np.full((2, 3), i, np.float32), "b": (np.int32(i),)} for i in range(4)]
    for index in (3, 0, 2, 1):
        spill.put(index, trees[index])
    for index in (1, 3, 0, 2):
        assert jax.tree.all(jax.tree.map(np.array_equal, spill.get(index), trees[index]))
    assert not list(folder.iterdir())  # the file has no name, so nothing can be left behind
    spill.close()


def test_device_memory_does_not_grow_with_the_clip():
    variables = jax.tree.map(jax.numpy.asarray, variables_of(NETWORK))

    def peak(count):
        seen = []
        for _ in exact(NETWORK, variables, None, iter(clip_of(count))):
            seen.append(sum(x.nbytes for x in jax.live_arrays()))
        assert len(seen) == count
        return max(seen)

    peak(3)  # whatever is made once
    assert peak(24) == peak(6)


def test_a_full_disk_is_said_with_the_way_out(folder, monkeypatch):
    class Full:
        def seek(self, at):
            pass

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(EnvironmentFailure, match=r"is full after .* TMPDIR .*long_range='fast'"):
        list(exact(NETWORK, variables_of(NETWORK), None, iter(clip_of(2))))
