import functools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.random_variables import random_variables
from vqe_jax import models
from vqe_jax.models import Side
from vqe_jax.models.shapes import variable_shapes
from vqe_jax.nn.reparam import fold

NARROW = {"features": 4, "blocks": 2}
SIDES = st.sampled_from([1, 2, 9])  # each pair of them is compiled anew
QPS = Side(frame_qp=jnp.array([[22.0, -1.0, 37.0]]))


def made(seed, shape):
    rng = np.random.default_rng(seed)
    network = models.build("repnet", **NARROW)
    clip = jnp.asarray(rng.random(shape, np.float32))
    return network, random_variables(network, seed, scale=0.1), clip


@functools.cache
def example():
    return made(0, (1, 3, 18, 23, 1))


@settings(max_examples=8)
@given(seed=st.integers(0, 1000), height=SIDES, width=SIDES)
def test_the_folded_network_gives_the_same_picture(seed, height, width):
    network, variables, clip = made(seed, (1, 1, height, width, 1))
    plain = models.build("repnet", **NARROW, folded=True)
    folded, told = fold(variables), Side(frame_qp=jnp.array([[30.0]]))
    assert jax.tree.map(jnp.shape, folded["params"]["first"]) == {
        "kernel": (3, 3, 17, 4),
        "bias": (4,),
    }
    np.testing.assert_allclose(
        plain.apply(folded, clip, side=told), network.apply(variables, clip, side=told), atol=1e-5
    )


def test_folded_weights_are_those_of_the_folded_network():
    _, variables, _ = example()
    shapes = variable_shapes("repnet", **NARROW, folded=True)
    folded = jax.tree_util.tree_leaves_with_path(fold(variables))
    found = {"/".join(k.key for k in path): x.shape for path, x in folded}
    assert found == {path: tuple(shape) for path, shape in shapes.items()}


def test_a_qp_that_is_not_known_is_as_good_as_none_told():
    network, variables, clip = example()
    told, blind = network.apply(variables, clip, side=QPS), network.apply(variables, clip)
    np.testing.assert_allclose(told[:, 1], blind[:, 1], atol=1e-6)
    for known in (0, 2):
        assert jnp.abs(told[:, known] - blind[:, known]).max() > 1e-3


def test_it_begins_with_the_frame_itself():
    network = models.build("repnet", **NARROW)
    clip = jnp.asarray(np.random.default_rng(0).random((1, 1, 8, 8, 1), np.float32))
    variables = network.init(jax.random.key(0), clip)
    np.testing.assert_array_equal(network.apply(variables, clip), clip)
    brighter = network.apply(variables, clip + 0.25) - clip
    np.testing.assert_allclose(brighter, jnp.full_like(clip, 0.25), atol=1e-6)
