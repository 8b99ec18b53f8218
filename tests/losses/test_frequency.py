import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.losses.frequency import fft, low_pass
from vqe_jax.losses.gradient import gradient, sobel, temporal_gradient

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


def test_temporal_gradient_ignores_what_stays_and_measures_what_comes_and_goes():
    stays = jnp.asarray(RNG.random((2, 1, 6, 8, 1), np.float32))
    np.testing.assert_allclose(temporal_gradient(A + stays, A), 0, atol=1e-6)
    blinking = jnp.array([0.0, 0.3])[None, :, None, None, None]
    np.testing.assert_allclose(temporal_gradient(A + blinking, A), 0.3, rtol=1e-5)
    with pytest.raises(UserError, match="clips of 1 frame"):
        temporal_gradient(A[:, :1], B[:, :1])


def test_low_pass_sees_slow_changes_and_no_checkerboard():
    board = np.indices((12, 12)).sum(0) % 2 * 1.0 - 0.5
    clip = jnp.asarray(np.broadcast_to(board[None, None, :, :, None], (1, 1, 12, 12, 3)), "float32")
    assert float(low_pass(clip, 0 * clip, eps=0.0)) < 0.01 < float(jnp.abs(clip).mean())
    np.testing.assert_allclose(low_pass(clip + 0.2, clip, eps=0.0), 0.2, rtol=1e-5)


def test_low_pass_is_a_gaussian_of_25_taps_with_a_reflected_border():
    error = np.random.default_rng(1).normal(size=(7, 9))
    taps = np.exp(-0.5 * (np.arange(-2, 3) / 1.0) ** 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    padded = np.pad(error, 2, mode="reflect")
    views = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    expected = np.sqrt((views * window).sum((-1, -2)) ** 2 + 1e-9).mean()
    clip = jnp.asarray(error[None, None, :, :, None], "float32")
    np.testing.assert_allclose(low_pass(clip, 0 * clip), expected, rtol=1e-5)


def test_sobel_measures_the_slope_of_green_alone():
    ramp = np.zeros((1, 1, 6, 8, 3), np.float32)
    ramp[..., 1] = 3 * np.arange(8) - np.arange(6)[:, None]
    ramp[..., 0] = RNG.random((6, 8))
    np.testing.assert_allclose(
        sobel(jnp.asarray(ramp), jnp.zeros_like(ramp)), (3 + 1) / 2, rtol=1e-6
    )
    impulse = jnp.zeros((1, 1, 5, 5, 1)).at[0, 0, 2, 2].set(8.0)
    # Sums of |1 2 1; 0; 1 2 1| over nine places.
    np.testing.assert_allclose(sobel(impulse, 0 * impulse), 8 / 9, rtol=1e-6)
