"""The transposed convolution in phases is the dilated one, forward and backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.ops.conv_transpose import conv_transpose


def _exact(x, kernel, stride, padding):
    """Each input pixel adds its kernel, turned around, to the output; float64."""
    x, kernel = np.float64(x), np.float64(kernel)
    b, h, w, _ = x.shape
    size, out = kernel.shape[0], kernel.shape[-1]
    whole = np.zeros((b, (h - 1) * stride + size, (w - 1) * stride + size, out))
    for y, z in np.ndindex(h, w):
        added = np.einsum("bi,uvio->buvo", x[:, y, z], kernel[::-1, ::-1])
        whole[:, y * stride : y * stride + size, z * stride : z * stride + size] += added
    return whole[:, padding : whole.shape[1] - padding, padding : whole.shape[2] - padding]


@pytest.mark.parametrize(("stride", "size", "padding"), [(2, 4, 1), (4, 8, 2), (2, 3, 1)])
@pytest.mark.parametrize("in_phases", [True, False])
def test_both_forms_are_near_float64(stride, size, padding, in_phases):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 7, 3), np.float32)
    kernel = rng.standard_normal((size, size, 3, 4), np.float32)
    found = conv_transpose(
        jnp.asarray(x), jnp.asarray(kernel), stride, padding, in_phases=in_phases
    )
    exact = _exact(x, kernel, stride, padding)
    assert found.shape == exact.shape
    assert np.abs(found - exact).max() < 1e-6 * np.abs(exact).max()


def test_gradients_of_both_forms_agree():
    x = jax.random.normal(jax.random.key(0), (2, 6, 5, 3))
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 3, 2))

    def loss(x, kernel, in_phases):
        return jnp.sin(conv_transpose(x, kernel, 2, 1, in_phases=in_phases)).sum()

    pairs = (jax.grad(loss, argnums=(0, 1))(x, kernel, form) for form in (True, False))
    for a, b in zip(*pairs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
