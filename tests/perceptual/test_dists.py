import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from vqe_jax.errors import UserError
from vqe_jax.perceptual import DISTS
from vqe_jax.perceptual.dists import l2_pool

from .seeded import seeded


def test_published_distance(official, shared):
    with np.load(shared / "golden/dists_r.npz") as images:
        a, b = (images[k][None].astype(np.float32) / 255 for k in ("r0", "r1"))
    variables = official("dists")
    np.testing.assert_allclose(DISTS().apply(variables, a, b), 0.334674, atol=1e-5)
    fast = DISTS(dtype=jnp.bfloat16).apply(variables, a, b)
    np.testing.assert_allclose(fast, 0.334674, rtol=0.01)


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_l2_pool_is_the_root_of_a_blurred_square(size):
    x = np.random.default_rng(0).standard_normal((*size, 2)).astype(np.float32)
    kernel = np.outer([1, 2, 1], [1, 2, 1])[..., None] / 16
    expected = np.sqrt(ndimage.convolve(x.astype(np.float64) ** 2, kernel, mode="constant"))
    np.testing.assert_allclose(l2_pool(jnp.asarray(x)), expected[::2, ::2], rtol=1e-5)


@pytest.fixture(scope="module")
def narrow():
    module = DISTS(divisor=32)
    blank = jnp.zeros((1, 16, 16, 3))
    return jax.jit(module.apply), seeded(module, blank, blank)


def test_bounded_symmetric_and_zero_for_equal_pictures(narrow):
    apply, variables = narrow
    a, b = np.random.default_rng(2).random((2, 3, 20, 17, 3), np.float32)
    distance = apply(variables, a, b)
    assert distance.shape == (3,) and ((distance > 0) & (distance < 1)).all()
    np.testing.assert_allclose(apply(variables, b, a), distance, rtol=1e-5)
    np.testing.assert_allclose(apply(variables, a, a), 0, atol=1e-6)


def test_gradients_are_finite_on_flat_pictures(narrow):
    apply, variables = narrow
    flat = jnp.zeros((1, 16, 16, 3))
    gradient = jax.jit(jax.grad(lambda x: apply(variables, x, flat + 0.5).sum()))(flat)
    assert np.isfinite(gradient).all()


def test_too_small(narrow):
    apply, variables = narrow
    a = jnp.zeros((1, 16, 15, 3))
    with pytest.raises(UserError, match="pred is 15x16, but DISTS needs 16"):
        apply(variables, a, a)
