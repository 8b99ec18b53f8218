import jax.numpy as jnp
import numpy as np

from vqe_jax.losses.frequency import fft
from vqe_jax.losses.gradient import gradient

RNG = np.random.default_rng(0)
A, B = (jnp.asarray(RNG.random((2, 2, 6, 8, 1), np.float32)) for _ in range(2))


def test_fft_is_the_mean_over_real_and_imaginary_parts():
    difference = np.fft.rfft2(np.asarray(A), axes=(2, 3)) - np.fft.rfft2(np.asarray(B), axes=(2, 3))
    expected = np.mean(np.abs(np.stack([difference.real, difference.imag])))
    np.testing.assert_allclose(fft(A, B), expected, rtol=1e-5)


def test_orthonormal_fft_divides_by_the_root_of_the_area():
    np.testing.assert_allclose(fft(A, B, orthonormal=True) * 48**0.5, fft(A, B), rtol=1e-5)


def test_fft_of_a_constant_difference_is_its_zero_frequency():
    # Of 6 x 5 coefficients, real and imaginary, one is 0.5 * 48.
    np.testing.assert_allclose(fft(A + 0.5, A), 0.5 * 48 / (6 * 5 * 2), rtol=1e-3)


def test_gradient_ignores_a_constant_and_measures_a_ramp():
    np.testing.assert_allclose(gradient(A + 0.25, A), 0, atol=1e-6)
    ramp = jnp.broadcast_to(jnp.arange(8.0)[None, None, None, :, None], A.shape)
    np.testing.assert_allclose(gradient(ramp, jnp.zeros_like(A)), 1.0, rtol=1e-6)
