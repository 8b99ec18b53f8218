"""STDF and RFDA as streams: whole clips, cuts, tiles, and states that count their frames."""

import functools

import jax
import numpy as np
import pytest

from tests.inference.networks import variables_of
from vqe_jax import enhance, models
from vqe_jax.inference import SceneCut, Tiling, enhance_frames

TINY = {
    "radius": 1,
    "features": 4,
    "depth": 2,
    "fused_features": 4,
    "qe_features": 4,
    "qe_depth": 3,
}
BOTH = {"first_state": "identity", "reset_every": 2, "beta": 1.0, "attention": "none"}
LSTM = BOTH | {"recursive_fusion": "conv_lstm"}
# The last two carry the number of the frame beside their maps.
NETWORKS = {
    "stdf": models.build("stdf", **TINY),
    "rfda": models.build("rfda", **TINY),
    "counting": models.build("rfda", **TINY, **BOTH),
    "counting lstm": models.build("rfda", **TINY, **LSTM),
}


def clip_of(frames=5, height=18, width=22, seed=0):
    return np.random.default_rng(seed).random((frames, height, width, 1), np.float32)


@functools.cache
def variables_for(kind):
    return variables_of(NETWORKS[kind])


def run(kind, clip, **options):
    network = NETWORKS[kind]
    return np.stack(list(enhance_frames((network, variables_for(kind)), clip, **options)))


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("frames", [2, 5])
def test_a_stream_equals_the_whole_clip_even_shorter_than_the_window(kind, frames):
    network, clip = NETWORKS[kind], clip_of(frames)
    whole = jax.jit(network.apply)(variables_for(kind), clip[None])[0]
    np.testing.assert_allclose(run(kind, clip), whole, atol=3e-6)


@pytest.mark.parametrize("kind", ["stdf", "rfda", "counting"])
def test_nothing_crosses_a_cut(kind):
    # Three frames, an odd number, so that a counter that went on would forget at another frame.
    dark, light = 0.1 * clip_of(3, seed=1), 0.7 + 0.3 * clip_of(4, seed=2)
    both = np.concatenate([dark, light])
    cut = run(kind, both, scene_cut=SceneCut())
    apart = np.concatenate([run(kind, dark), run(kind, light)])
    np.testing.assert_array_equal(cut, apart)
    assert np.abs(run(kind, both) - apart).max() > 1e-5


@pytest.mark.parametrize("kind", ["stdf", "rfda", "counting"])
def test_tiles_of_motion_networks_are_blended(kind):
    network, clip = NETWORKS[kind], clip_of(3, 24, 44)
    model = (network, variables_for(kind))
    whole = enhance(clip, model=model)
    tiled = enhance(clip, model=model, tiling=Tiling(24, margin=8))
    change = np.abs(whole - clip).max()
    assert np.abs(tiled - whole).max() < 0.02 * change  # DSTA's global gate differs between tiles
    one = enhance(clip, model=model, tiling=Tiling(64))
    np.testing.assert_allclose(one, whole, atol=1e-6)
