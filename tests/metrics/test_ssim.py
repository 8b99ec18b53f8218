"""SSIM against scikit-image in both variants, and by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from tests.metrics.test_psnr import frames
from vqe_jax.errors import UserError
from vqe_jax.metrics import protocol, quantize, ssim

SCIKIT = {
    "uniform": {},
    "gaussian": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False},
}


def scikit(result, reference, window):
    return [
        structural_similarity(
            np.float64(x), np.float64(y), data_range=1.0, channel_axis=-1, **SCIKIT[window]
        )
        for x, y in zip(result, reference, strict=True)
    ]


@settings(max_examples=8, deadline=None)
@given(
    window=st.sampled_from(sorted(SCIKIT)),
    channels=st.sampled_from([1, 3]),
    noise=st.sampled_from([0.001, 0.05, 0.5]),
)
def test_against_scikit_image(window, channels, noise):
    result, reference = frames((2, 24, 31, channels), noise=noise)
    # A bright, nearly flat half is where float32 variances lose their digits.
    result[:, :, :16], reference[:, :, :16] = (
        0.9 + 0.01 * x[:, :, :16] for x in (result, reference)
    )
    value = ssim(jnp.asarray(result), jnp.asarray(reference), window=window)
    np.testing.assert_allclose(value, scikit(result, reference, window), atol=2e-5)


def test_a_value_by_hand():
    """Flat frames of 0.5 and 0.6: no variance, so only the luminance term is left."""
    a, b = jnp.full((7, 7, 1), 0.5), jnp.full((7, 7, 1), 0.6)
    expected = (2 * 0.5 * 0.6 + 1e-4) / (0.5**2 + 0.6**2 + 1e-4)
    assert float(ssim(a, b)) == pytest.approx(expected, abs=1e-5)


def test_one_window_by_hand_uses_the_sample_covariance():
    rng = np.random.default_rng(1)
    x, y = rng.random((7, 7)), rng.random((7, 7))
    (vx, cov), (_, vy) = np.cov(x.ravel(), y.ravel())  # n - 1
    mx, my, c1, c2 = x.mean(), y.mean(), 1e-4, 9e-4
    expected = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    got = ssim(jnp.float32(x)[..., None], jnp.float32(y)[..., None])
    assert float(got) == pytest.approx(expected, abs=1e-5)


def test_the_protocols_differ_as_they_say():
    result, reference = frames()
    np.testing.assert_allclose(
        protocol("ssim_y")(result, reference), scikit(result, reference, "uniform"), atol=2e-5
    )
    rounded, truth = (np.asarray(quantize(jnp.asarray(x))) for x in (result, reference))
    np.testing.assert_allclose(
        protocol("ssim_y_gaussian")(result, reference),
        scikit(rounded, truth, "gaussian"),
        atol=2e-5,
    )


def test_small_frames_and_unknown_names_are_refused():
    with pytest.raises(UserError, match="11 pixels wide; frames are 12x9"):
        ssim(jnp.zeros((9, 12, 1)), jnp.zeros((9, 12, 1)), window="gaussian")
    with pytest.raises(UserError, match="did you mean 'ssim_y'"):
        protocol("sim_y")
    with pytest.raises(UserError, match="not on 3 channels"):
        protocol("ssim_y")(jnp.zeros((9, 9, 3)), jnp.zeros((9, 9, 3)))
    with pytest.raises(UserError, match="cannot be judged against"):
        protocol("psnr_y")(jnp.zeros((9, 9, 1)), jnp.zeros((9, 8, 1)))
