"""Pixel shuffles, and convolutions of maps that stay unshuffled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from vqe_jax.nn.layers import Conv
from vqe_jax.nn.qp_conditioning import QPScale
from vqe_jax.ops.shuffle import pixel_shuffle, pixel_unshuffle, unshuffled_kernel


def _convolved(x, kernel):
    """Zeros outside, in float64, tap by tap."""
    reach = kernel.shape[0] // 2
    padded = np.pad(np.asarray(x, np.float64), [(0, 0), (reach, reach), (reach, reach), (0, 0)])
    h, w = x.shape[1:3]
    taps = np.ndindex(kernel.shape[:2])
    return sum(padded[:, y : y + h, i : i + w] @ np.float64(kernel[y, i]) for y, i in taps)


@pytest.mark.parametrize(("size", "factor"), [(3, 2), (3, 4), (5, 2), (1, 2), (7, 2), (3, 1)])
def test_an_unshuffled_convolution_is_the_same_function(size, factor):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 8, 12, 3), np.float32)
    kernel = rng.standard_normal((size, size, 3, 5), np.float32)
    wide = unshuffled_kernel(jnp.asarray(kernel), factor)
    found = lax.conv_general_dilated(
        pixel_unshuffle(jnp.asarray(x), factor),
        wide,
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    exact = _convolved(x, kernel)
    error = np.abs(pixel_shuffle(found, factor) - exact).max() / np.abs(exact).max()
    assert error < 1e-6
    # Nothing but the kernel's own numbers, each once a pixel of a block, and zeros.
    assert np.count_nonzero(wide) == factor**2 * kernel.size


def test_layers_of_unshuffled_maps_have_the_parameters_and_the_gradient_of_plain_ones():
    x = jax.random.uniform(jax.random.key(0), (2, 3, 8, 12, 2))
    plain, wide = Conv(5), Conv(5, blocks=2)
    variables = plain.init(jax.random.key(1), x)
    again = wide.init(jax.random.key(1), pixel_unshuffle(x, 2))
    jax.tree.map(np.testing.assert_array_equal, variables, again)

    def loss(v):
        return jnp.square(plain.apply(v, x) - 0.5).mean()

    def loss_wide(v):
        return jnp.square(wide.apply(v, pixel_unshuffle(x, 2)) - 0.5).mean()

    compare = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)  # noqa: E731
    jax.tree.map(compare, jax.grad(loss)(variables), jax.grad(loss_wide)(variables))


def test_factors_by_qp_reach_all_pixels_of_a_block():
    x = jax.random.uniform(jax.random.key(0), (2, 8, 12, 3))
    qp = jnp.array([22, 37])
    variables = QPScale().init(jax.random.key(1), x, qp)
    found = QPScale(blocks=2).apply(variables, pixel_unshuffle(x, 2), qp)
    np.testing.assert_array_equal(pixel_shuffle(found, 2), QPScale().apply(variables, x, qp))
