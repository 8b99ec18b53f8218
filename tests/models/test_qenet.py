"""QENet against the official code; windows, offsets, gradients and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.golden import load
from tests.models.random_variables import random_variables
from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.nn.residual import ResidualBlock

NAME = "qenet_nju_c16_T7"
SEVEN = {"features": 16, "extraction_blocks": 2, "reconstruction_blocks": 2}
TINY = {
    "features": 4,
    "frames": 3,
    "deform_groups": 2,
    "extraction_blocks": 2,
    "reconstruction_blocks": 1,
    "channels": 1,
    "remat": False,
}


def _clip(frames=3, height=8, width=12):
    return jax.random.uniform(jax.random.key(0), (1, frames, height, width, 1))


@pytest.fixture(scope="module")
def tiny():
    network = models.build("qenet", **TINY)
    return network, random_variables(network)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": 8}, r"\(16, 3, 3, 3\), .*expected \(8, 3, 3, 3\)"),
        ({"frames": 5}, r"'aggregation.*\(16, 112, 1, 1\).*expected \(16, 80, 1, 1\)"),
        ({"extraction_blocks": 4}, r"lacks alignment.resblock1_1.1.conv1.bias"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(shared, fields, message):
    with pytest.raises(UserError, match=message):
        weights.from_torch("qenet", load(shared, NAME).state_dict, **SEVEN | fields)


def test_both_passes_of_the_alignment_have_offsets_and_one_set_of_weights(tiny):
    network, variables = tiny
    found = jax.jit(lambda v, x: network.apply(v, x, outputs=True))(variables, _clip())
    first, second = (np.asarray(found["offsets"][f"pass{i}"]) for i in (1, 2))
    assert first.shape == second.shape == (1, 3, 3, 8, 12, 36)
    assert np.abs(first - second).max() > 1e-3
    assert [k for k in variables["params"]["alignment"] if "deform" in k] == ["deform"]


def test_residual_blocks_leak_where_asked():
    block, plain = ResidualBlock(2, negative_slope=0.1), ResidualBlock(2)
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 2))
    variables = jax.tree.map(lambda p: p * 10, block.init(jax.random.key(1), x))
    assert float(jnp.abs(block.apply(variables, x) - plain.apply(variables, x)).max()) > 1e-3


def test_an_even_window_has_no_middle():
    with pytest.raises(UserError, match="QENet: frames=6 must be odd"):
        models.build("qenet", frames=6)
