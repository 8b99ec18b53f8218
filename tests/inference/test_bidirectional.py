import errno
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.inference.networks import BothNet, WindowNet, variables_of
from vqe_jax.errors import EnvironmentFailure
from vqe_jax.inference import Guard, enhance_frames
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


@pytest.mark.parametrize("bad", ["frame", "state"])
def test_what_is_not_finite_costs_its_own_frames_and_not_the_clip(bad):
    """A frame that is no picture, and a motion that is lost at one place."""
    clip, told = clip_of(9), []
    network = NETWORK
    if bad == "frame":
        clip[4] = np.nan
    else:
        network = Lost()
        clip[4, 0, 0] = 2.0  # what Lost cannot follow
    variables = variables_of(network)
    found = np.stack(list(exact(network, variables, None, iter(clip), passed=told.append)))
    # Frame 5 looks at frame 4 itself, frame 3 on its way back only, and goes without that.
    expected = [4, 5] if bad == "frame" else []
    assert told == expected
    for index in expected:
        np.testing.assert_array_equal(found[index], clip[index])
    others = np.delete(found, expected, axis=0)
    assert np.isfinite(others).all()
    assert (np.abs(others - np.delete(clip, expected, axis=0)).max((1, 2, 3)) > 0).all()
    unwatched = np.stack(list(exact(network, variables, None, iter(clip))))
    assert np.isnan(unwatched).any(axis=(1, 2, 3)).all()


class Lost(BothNet):
    """Loses what it carries where it meets a value above one, as along a flow that is NaN."""

    def advance_sweep(self, index, state, window, kept, *, side):
        if state is not None:
            state = jnp.where(window.max() > 1, jnp.nan, state)
        return super().advance_sweep(index, state, window, kept, side=side)


@pytest.mark.parametrize("options", [{}, {"long_range": "fast", "chunk": 4, "overlap": 1}])
@pytest.mark.parametrize("kind", [BothNet, WindowNet])
def test_streams_tell_of_frames_that_are_passed_through(kind, options):
    clip, told = clip_of(8), []
    clip[2] = np.inf
    network = kind()
    out = np.stack(
        list(
            enhance_frames(
                network,
                iter(clip),
                variables=variables_of(network),
                guard=Guard(report=told.append),
                **options,
            )
        )
    )
    assert {2} <= {event.frame for event in told} and told[0].action == "passed"
    for event in told:
        np.testing.assert_array_equal(out[event.frame], clip[event.frame])
    assert np.isfinite(np.delete(out, 2, axis=0)).all()
