"""OVQE against the official code; the clip at once, sweeps, sizes, gradients and errors."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.golden import load
from tests.models.random_variables import random_variables
from tests.models.test_parity import official_keys
from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.inference import enhance_frames
from vqe_jax.models.shapes import parameter_count, tree_paths
from vqe_jax.nn.frequency import Merge
from vqe_jax.weights.conversion import table_of

NAME = "ovqe_c32nf8_t3"
GOLDEN = {"features": 32, "unet_features": 8, "blocks": 1}
TINY = {
    "features": 4,
    "unet_features": 4,
    "blocks": 1,
    "window": 3,
    "attention_reduction": 1,
    "unroll": 1,
    "remat": False,
}
DEAD = 5 * 385  # the second merge of each U-Net


def _clip(frames=4, height=9, width=10, channels=1):
    size = (1, frames, height, width, channels)
    return jnp.asarray(np.random.default_rng(0).random(size, np.float32))


@pytest.fixture(scope="module")
def tiny():
    network = models.build("ovqe", **TINY)
    return network, random_variables(network)


@pytest.fixture(scope="module")
def run(tiny):
    network, variables = tiny
    return jax.jit(lambda clip: network.apply(variables, clip))


def test_golden_values(shared):
    golden = load(shared, NAME)
    network = models.build("ovqe", **GOLDEN)
    clip = golden.clip("in/x")
    found = jax.jit(network.apply)(golden.variables("ovqe", **GOLDEN), clip)
    golden.check(np.moveaxis(found, -1, 2), "y")


def test_official_names_go_both_ways_and_dead_tensors_are_told(shared, caplog):
    tensors = load(shared, NAME).state_dict
    with caplog.at_level(logging.INFO):
        variables = weights.from_torch("ovqe", tensors, **GOLDEN)
    back = weights.to_torch("ovqe", variables, **GOLDEN)
    dead = tensors.keys() - back.keys()
    assert len(dead) == 5 * 4 and all(".unet.SKFF_2." in name for name in dead)
    assert sorted(dead)[0] in caplog.text
    for key, value in back.items():
        np.testing.assert_array_equal(tensors[key], value)


def test_official_names_shapes_and_count_of_the_published_size(shared):
    expected = official_keys(shared, "ovqe")
    dead = {k: s for k, s in expected.items() if ".unet.SKFF_2." in k}
    assert sum(int(np.prod(s)) for s in dead.values()) == DEAD
    found = {name: t.shape for t in table_of("ovqe").values() for name in t.names}
    assert found == {k: s for k, s in expected.items() if k not in dead}


def test_parameter_counts():
    assert parameter_count("ovqe") == 3_109_824 - DEAD
    narrow = {"features": 32, "unet_features": 16, "blocks": 3}
    assert parameter_count("ovqe", **narrow) == 682_884 - 5 * (3 * 16 * 4 + 1)


def test_sweeps_equal_the_whole_clip(tiny, run):
    clip = _clip()
    whole = np.asarray(run(clip)[0])
    assert np.abs(whole - clip[0]).max() > 1e-2
    swept = np.stack(list(enhance_frames(tiny, np.asarray(clip[0]))))
    np.testing.assert_allclose(swept, whole, atol=1e-5 * max(1, np.abs(whole).max()))


def test_every_frame_sees_every_other(run):
    clip = _clip()
    for source in (0, 3):
        moved = jnp.abs(run(clip.at[:, source].add(0.3)) - run(clip)).max((0, 2, 3, 4))
        assert (np.asarray(moved) > 1e-5).all()


def test_odd_sizes_are_those_of_the_padded_frames(run):
    clip = _clip()
    padded = jnp.pad(clip, ((0, 0), (0, 0), (0, 3), (0, 2), (0, 0)), mode="edge")
    np.testing.assert_allclose(run(clip), run(padded)[:, :, :9, :10], rtol=1e-4, atol=1e-5)


def test_gradient_reaches_every_parameter_and_rgb_is_taken():
    network = models.build("ovqe", **TINY, channels=3)
    variables = random_variables(network)
    clip = _clip(2, 8, 8, channels=3)
    gradient = jax.jit(jax.grad(lambda v: jnp.mean(network.apply(v, clip, train=True) ** 2)))
    found = tree_paths(gradient(variables)["params"])
    assert not [path for path, g in found.items() if not g.any()]


def test_a_merge_is_a_mean_weighted_by_channel():
    merge = Merge()
    first, second = (jax.random.normal(jax.random.key(i), (2, 3, 4, 8)) for i in (0, 1))
    variables = merge.init(jax.random.key(2), first, second)
    assert variables["params"]["squeeze"]["kernel"].shape[-1] == 4
    share = (merge.apply(variables, first, second) - second) / (first - second)
    np.testing.assert_allclose(share, np.broadcast_to(share[:, :1, :1], share.shape), atol=1e-3)
    np.testing.assert_allclose(merge.apply(variables, first, first), first, atol=1e-6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"window": 4}, "window=4 must be odd"),
        ({"features": 16}, "attention_reduction=32 leaves no channel of features=16"),
    ],
)
def test_fields_are_checked(fields, message):
    with pytest.raises(UserError, match=message):
        models.build("ovqe", **fields)
