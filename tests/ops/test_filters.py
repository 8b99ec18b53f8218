import jax.numpy as jnp
import numpy as np

from vqe_jax.ops.filters import blur3, unsharp


def test_blur_is_the_binomial_kernel_and_keeps_what_is_flat():
    impulse = jnp.zeros((1, 5, 5, 1)).at[0, 2, 2, 0].set(16.0)
    taps = np.array([1, 2, 1])
    np.testing.assert_array_equal(blur3(impulse)[0, 1:4, 1:4, 0], np.outer(taps, taps))
    np.testing.assert_array_equal(blur3(jnp.full((4, 6, 3), 0.3)), np.full((4, 6, 3), 0.3, "f"))


def test_unsharp_steepens_an_edge_by_the_amount():
    edge = jnp.tile(jnp.repeat(jnp.array([0.0, 1.0]), 4)[None, :, None], (6, 1, 1))
    sharp = unsharp(edge, 2.0)[3, :, 0]
    np.testing.assert_allclose(sharp, [0, 0, 0, -0.5, 1.5, 1, 1, 1])
    np.testing.assert_array_equal(unsharp(edge, 0.0), edge)
