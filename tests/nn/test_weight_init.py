"""``weight_init="high_pass"``: how networks begin that few steps have to train."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import initial_variables
from vqe_jax.nn.initializers import beside, high_pass, kaiming_normal
from vqe_jax.nn.residual import ResidualTrunk
from vqe_jax.nn.stdf_fusion import STDFFusion

SMALL = {"features": 4, "depth": 1, "fused_features": 8, "qe_features": 8, "qe_depth": 4}


def test_beside_keeps_each_initialisation_to_its_channels():
    kernel = beside(high_pass(), 3, kaiming_normal())(jax.random.key(0), (3, 3, 8, 5))
    sums = np.abs(np.asarray(kernel.sum((0, 1))))
    assert kernel.shape == (3, 3, 8, 5)
    assert sums[:3].max() < 1e-5 < 1e-2 < sums[3:].max()


@pytest.mark.parametrize(
    "module",
    [STDFFusion(4, 8, depth=1, kaiming=True), ResidualTrunk(8, 1, blind=2)],
    ids=["fusion", "trunk"],
)
def test_brightness_is_not_seen_at_first(module):
    noise = jax.random.uniform(jax.random.key(1), (1, 16, 16, 3))
    variables = module.init(jax.random.key(0), noise)
    # The trunk's last channel is a feature.
    light = jnp.array([5.0, 5.0, 5.0 if isinstance(module, STDFFusion) else 0.0])
    dark, bright = (module.apply(variables, noise + k * light[None, None, None]) for k in (0, 1))
    # The border of zeros around the picture is an edge, and reaches inwards.
    inside = np.s_[:, 7:-7, 7:-7]
    np.testing.assert_allclose(dark[inside], bright[inside], atol=1e-3)
    assert np.abs(dark[inside]).max() > 0.1


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("stdf", {**SMALL, "radius": 1}),
        ("rfda", {**SMALL, "radius": 1}),
        ("basicvsr", {"features": 4, "blocks": 1, "flow_levels": 2, "flow_widths": (4,)}),
    ],
)
def test_unknown_ways_to_begin_are_refused(name, kwargs):
    with pytest.raises(UserError, match="weight_init='zeros' does not exist"):
        models.build(name, **kwargs, weight_init="zeros")


def test_fresh_attention_and_recursion_hardly_change_what_stdf_gives():
    """So that a second stage goes on where the first ended."""
    kwargs = {**SMALL, "radius": 1, "weight_init": "high_pass"}
    stdf, rfda = models.build("stdf", **kwargs), models.build("rfda", **kwargs)
    clip = jax.random.uniform(jax.random.key(2), (1, 3, 32, 32, 1))
    trained = initial_variables(stdf, jax.random.key(0))["params"]
    out_conv = trained["enhancement"]["out_conv"]
    out_conv["kernel"] = 0.02 * jax.random.normal(jax.random.key(3), out_conv["kernel"].shape)
    params = initial_variables(rfda, jax.random.key(1))["params"]
    params = {
        **params,
        "fusion": trained["fusion"],
        "enhancement": params["enhancement"] | trained["enhancement"],
    }
    before = stdf.apply({"params": trained}, clip) - clip
    after = rfda.apply({"params": params}, clip) - clip
    change = jnp.sqrt(jnp.mean((after - before) ** 2) / jnp.mean(before**2))
    assert 0 < float(change) < 0.6
