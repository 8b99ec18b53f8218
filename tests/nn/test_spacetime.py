"""3-D convolutions by way of 2-D ones against lax's own; the discriminator of clips."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vqe_jax.errors import UserError
from vqe_jax.nn.multiscale import MultiScaleDiscriminator
from vqe_jax.nn.spacetime import SpaceTimeConv, SpaceTimeConvTranspose

NUMBERS = ("NDHWC", "DHWIO", "NDHWC")


def _of_three_axes(kernel, taps):
    """``[h, w, taps * i, o]`` as ``[taps, h, w, i, o]``."""
    h, w, _, o = kernel.shape
    return kernel.reshape(h, w, taps, -1, o).transpose(2, 0, 1, 3, 4)


@pytest.mark.parametrize(("stride", "size"), [(1, 3), (2, 3)])
def test_convolution(stride, size):
    x = jax.random.normal(jax.random.key(0), (1, 4, 6, 8, 3))
    conv = SpaceTimeConv(5, size, taps=3, stride=stride)
    found, variables = conv.init_with_output(jax.random.key(1), x)
    params = variables["params"]["conv"]
    kernel, pad = _of_three_axes(params["kernel"], 3), (size // 2,) * 2
    expected = lax.conv_general_dilated(
        x, kernel, (1, stride, stride), ((1, 1), pad, pad), dimension_numbers=NUMBERS
    )
    np.testing.assert_allclose(found, np.asarray(expected) + params["bias"].tolist(), atol=1e-5)
    assert found.shape[1:4] == (4, 6 // stride, 8 // stride)


def test_transposed_convolution():
    x = jax.random.normal(jax.random.key(0), (1, 3, 4, 5, 2))
    conv = SpaceTimeConvTranspose(3, taps=3)
    found, variables = conv.init_with_output(jax.random.key(1), x)
    params = variables["params"]["conv"]
    kernel = _of_three_axes(params["kernel"], 3)
    expected = lax.conv_general_dilated(
        x, kernel, (1, 1, 1), ((1, 1), (2, 2), (2, 2)), lhs_dilation=(1, 2, 2),
        dimension_numbers=NUMBERS,
    )  # fmt: skip
    np.testing.assert_allclose(found, np.asarray(expected) + params["bias"].tolist(), atol=1e-5)
    assert found.shape[1:4] == (3, 8, 10)


def test_the_discriminator_sees_all_scales_and_neighbors_in_time():
    module = MultiScaleDiscriminator(features=2, scales=2, channels=3)
    clip = jax.random.uniform(jax.random.key(0), (1, 4, 16, 16, 3))
    variables = jax.jit(module.init)(jax.random.key(1), clip)
    run = jax.jit(lambda v, x: module.apply(v, x)[0])
    scores = run(variables, clip)
    assert scores.shape == (1, 4, 4, 4, 1)
    gradient = jax.jit(jax.grad(lambda v: module.apply(v, clip)[0].sum()))(variables)
    assert all(g.any() for g in jax.tree.leaves(gradient))
    swapped = run(variables, clip[:, jnp.array([0, 2, 1, 3])])  # the same frames in another order
    assert float(jnp.abs(swapped[:, jnp.array([0, 2, 1, 3])] - scores).max()) > 1e-6


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 1, 18, 16, 1), "halves its clips 3 times and got 16x18; use multiples of 8"),
        ((1, 1, 16, 16, 3), "channels is 1 but the clips have 3"),
    ],
)
def test_clips_that_the_discriminator_refuses(shape, message):
    with pytest.raises(UserError, match=message):
        MultiScaleDiscriminator().init(jax.random.key(0), jnp.zeros(shape))
