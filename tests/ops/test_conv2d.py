"""A convolution without padding is the same with a spare row, forward and backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.ops.conv2d import conv2d


def _exact(x, kernel, stride, dilation):
    """Float64, a tap at a time."""
    x, kernel = np.float64(x), np.float64(kernel)
    taps = [(n - 1) * dilation for n in kernel.shape[:2]]
    h, w = (1 + (n - 1 - reach) // stride for n, reach in zip(x.shape[1:3], taps, strict=True))
    y = np.zeros((len(x), h, w, kernel.shape[-1]))
    for i, j in np.ndindex(kernel.shape[:2]):
        rows = slice(i * dilation, i * dilation + (h - 1) * stride + 1, stride)
        columns = slice(j * dilation, j * dilation + (w - 1) * stride + 1, stride)
        y += x[:, rows, columns] @ kernel[i, j]
    return y


@pytest.mark.parametrize("spare_row", [True, False])
@pytest.mark.parametrize(
    ("size", "stride", "dilation"),
    [
        ((3, 3), 1, 1),
        ((7, 7), 1, 1),
        ((3, 3), 2, 1),
        ((1, 5), 1, 1),
        ((2, 2), 3, 1),
        ((3, 3), 1, 2),
    ],
)
def test_both_forms_are_near_float64(size, stride, dilation, spare_row):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 9, 11, 5), np.float32)
    kernel = rng.standard_normal((*size, 5, 4), np.float32)
    found = conv2d(
        jnp.asarray(x), jnp.asarray(kernel), stride, dilation=dilation, spare_row=spare_row
    )
    exact = _exact(x, kernel, stride, dilation)
    assert found.shape == exact.shape
    assert np.abs(found - exact).max() < 1e-6 * np.abs(exact).max()


def test_gradients_of_both_forms_agree():
    x = jax.random.normal(jax.random.key(0), (2, 8, 7, 3))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 3, 4))

    def gradients(spare_row):
        def loss(x, kernel):
            return jnp.square(conv2d(x, kernel, spare_row=spare_row)).sum()

        return jax.grad(loss, argnums=(0, 1))(x, kernel)

    for plain, spare in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_allclose(spare, plain, rtol=1e-5, atol=1e-4)


def test_only_where_nothing_is_padded():
    x, kernel = jnp.ones((1, 4, 5, 2)), jnp.ones((3, 3, 2, 1))
    for padding, shape in [((1, 1), (4, 5)), ((1, 0), (4, 3)), ((0, 0), (2, 3))]:
        assert conv2d(x, kernel, 1, padding, spare_row=True).shape[1:3] == shape
    point = jnp.ones((1, 1, 2, 1))
    assert "slice" not in str(jax.make_jaxpr(lambda x: conv2d(x, point, spare_row=True))(x))
