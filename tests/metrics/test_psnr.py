"""PSNR against values by hand, scikit-image and float64."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from vqe_jax.metrics import mse, protocol, psnr, quantize


def frames(shape=(3, 24, 31, 1), seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    reference = rng.random(shape, np.float32)
    return reference + noise * rng.standard_normal(shape).astype(np.float32), reference


def test_a_value_by_hand():
    """One pixel of four is off by 0.2: MSE 0.01, so 20 dB; off by 51 of 255 it is the same."""
    reference = jnp.zeros((2, 2, 1))
    result = reference.at[0, 1].set(0.2)
    assert float(mse(result, reference)) == pytest.approx(0.01)
    assert float(psnr(result, reference)) == pytest.approx(20.0, abs=1e-5)
    assert float(psnr(255 * result, 255 * reference, peak=255.0)) == pytest.approx(20.0, abs=1e-5)


def test_against_scikit_image_frame_by_frame():
    result, reference = frames()
    expected = [
        peak_signal_noise_ratio(a, b, data_range=1.0)
        for a, b in zip(reference, result, strict=True)
    ]
    np.testing.assert_allclose(protocol("psnr_y")(result, reference), expected, rtol=1e-6)


def test_large_frames_keep_their_digits():
    result, reference = frames((1, 1080, 1920, 1), noise=0.01)
    exact = -10 * np.log10(np.mean((result.astype(np.float64) - reference) ** 2))
    assert float(psnr(result, reference)[0]) == pytest.approx(exact, abs=1e-4)


def test_rounding_and_clipping_are_what_the_protocols_differ_in():
    result, reference = frames()
    as_bytes = np.round(np.clip(result, 0, 1) * 255).astype(np.uint8)
    truth = np.round(reference * 255).astype(np.uint8)
    error = np.mean((as_bytes.astype(np.float64) - truth) ** 2, axis=(1, 2, 3))
    expected = 10 * np.log10(255**2 / error)
    np.testing.assert_allclose(protocol("psnr_y_uint8")(result, reference), expected, rtol=1e-6)
    assert np.all(protocol("psnr_y")(result, reference) < expected)  # noise beyond [0, 1] counts


def test_rgb_has_one_error_over_its_channels():
    result, reference = (quantize(jnp.asarray(x)) for x in frames((2, 9, 9, 3)))
    value = protocol("psnr_rgb_uint8")(result, reference)
    channels = np.asarray(
        mse(jnp.moveaxis(result, -1, 0)[..., None], jnp.moveaxis(reference, -1, 0)[..., None])
    )
    np.testing.assert_allclose(value, -10 * np.log10(channels.mean(0)), rtol=1e-5)


def test_identical_frames_have_the_ceiling_and_gain_nothing():
    _, reference = frames()
    assert np.array_equal(psnr(reference, reference), [100.0] * 3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 255))
def test_bytes_survive_rounding(value):
    assert float(quantize(jnp.float32(value / 255))) * 255 == pytest.approx(value, abs=1e-4)
    assert float(quantize(jnp.float32(1.7))) == 1.0
    assert float(quantize(jnp.float32(-0.2))) == 0.0


def test_luma_of_rgb_is_bt601_in_8_bits():
    """A gray step of 219 codes of RGB's 255 gives 188 of luma's 219; both ends are exact."""
    truth = np.zeros((1, 2, 2, 3), np.float32)
    result = truth + np.float32(10 / 255)  # 16 + 219 * 10 / 255 = 24.6, rounded to 25
    found = protocol("psnr_y_of_rgb")(result, truth)
    np.testing.assert_allclose(found, 20 * np.log10(255 / 9), atol=1e-3)
