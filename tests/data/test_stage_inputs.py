import numpy as np
import pytest

from vqe_jax.data.pair import open_pairs
from vqe_jax.data.pipeline import BatchSource, DataConfig
from vqe_jax.data.stage_inputs import inputs_path, with_inputs, write_inputs
from vqe_jax.errors import UserError


@pytest.fixture
def pairs(data_dir):
    return open_pairs(data_dir, "clips", "train", "qp37")[:2]


def _results(pair, shift):
    height, width = pair.size
    base = np.linspace(-0.1, 1.1, height * width * 3, dtype=np.float32).reshape(height, width, 3)
    return [base + shift * t for t in range(len(pair))]


def test_results_stand_in_for_the_compressed_clips(pairs, tmp_path):
    for pair in pairs:
        write_inputs(tmp_path, pair, _results(pair, 0.01))
    swapped = with_inputs(pairs, tmp_path)
    for pair, other in zip(pairs, swapped, strict=True):
        expected = np.round(np.clip(_results(pair, 0.01)[3], 0, 1) * 255)
        np.testing.assert_array_equal(other.read("compressed", "rgb", 3, 1)[0], expected)
        np.testing.assert_array_equal(other.read("raw", "rgb"), pair.read("raw", "rgb"))
    config = DataConfig(frames=2, crop=16, batch=2, color="rgb", rotations=False, flips=False)
    batch, plain = (BatchSource(p, config, seed=0)[0] for p in (swapped, pairs))
    np.testing.assert_array_equal(batch["raw"], plain["raw"])
    assert not np.array_equal(batch["compressed"], plain["compressed"])
    assert with_inputs(pairs, None) == tuple(pairs)
    # Which frames are peaks is told by the stream, not by the results.
    np.testing.assert_array_equal(swapped[0].true_peaks(), pairs[0].true_peaks())


def test_missing_and_cut_short(pairs, tmp_path):
    with pytest.raises(UserError, match=r"has not been run on .*stage_inputs"):
        with_inputs(pairs, tmp_path)
    with pytest.raises(UserError, match="13 results for 14 frames"):
        write_inputs(tmp_path, pairs[0], _results(pairs[0], 0)[:-1])
    assert not list(tmp_path.iterdir())
    path = write_inputs(tmp_path, pairs[0], _results(pairs[0], 0))
    assert path == inputs_path(tmp_path, pairs[0])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="missing or damaged"):
        with_inputs(pairs[:1], tmp_path)


def test_luma_of_results_is_refused(pairs, tmp_path):
    write_inputs(tmp_path, pairs[0], _results(pairs[0], 0))
    (swapped,) = with_inputs(pairs[:1], tmp_path)
    with pytest.raises(UserError, match="color='rgb'"):
        swapped.read("compressed", "luma")
