import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax import losses

RNG = np.random.default_rng(0)
A, B = (jnp.asarray(RNG.random((2, 3, 4, 5, 1), np.float32)) for _ in range(2))


def test_one_minus_pearsons_r_over_the_whole_batch():
    expected = 1 - np.corrcoef(np.ravel(A), np.ravel(B))[0, 1]
    np.testing.assert_allclose(losses.build("pearson")(A, B), expected, rtol=1e-5)
    by_clip = np.mean([1 - np.corrcoef(np.ravel(A[i]), np.ravel(B[i]))[0, 1] for i in (0, 1)])
    assert abs(by_clip - expected) > 1e-3


def test_brightness_and_contrast_do_not_count():
    loss = losses.build("pearson")
    np.testing.assert_allclose(loss(0.5 * A + 0.2, B), loss(A, B), rtol=1e-4)
    np.testing.assert_allclose(loss(-A, B), 2 - loss(A, B), rtol=1e-4)


def test_only_weighted_pixels_count():
    weight = jnp.asarray(RNG.integers(0, 2, (2, 3, 4, 5, 1)).astype(np.float32))
    kept = np.asarray(weight) > 0
    expected = 1 - np.corrcoef(np.asarray(A)[kept], np.asarray(B)[kept])[0, 1]
    np.testing.assert_allclose(losses.build("pearson")(A, B, weight=weight), expected, rtol=1e-5)


def test_flat_clips_have_a_finite_gradient():
    flat = jnp.full_like(A, 0.5)
    for first, second in ((flat, B), (A, flat), (flat, flat)):
        value, gradient = jax.value_and_grad(losses.build("pearson"))(first, second)
        np.testing.assert_allclose(value, 1, atol=1e-5)
        assert np.isfinite(gradient).all()
    assert np.abs(jax.grad(losses.build("pearson"))(A, A)).max() < 1e-4
