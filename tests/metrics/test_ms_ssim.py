import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import convolve2d

from vqe_jax.errors import UserError
from vqe_jax.metrics import ms_ssim


def independent(x, y):
    """Wang's five scales in float64 with scipy's direct convolution; one channel."""
    taps = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    value = 1.0
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    for scale, weight in enumerate(weights):
        mx, my, xx, yy, xy = (convolve2d(v, window, "valid") for v in (x, y, x * x, y * y, x * y))
        cs = (2 * (xy - mx * my) + 0.03**2) / (xx - mx**2 + yy - my**2 + 0.03**2)
        if scale == 4:
            cs = cs * (2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2)
        value *= max(cs.mean(), 0) ** weight
        x, y = (np.pad(v, [(0, n % 2) for n in v.shape], mode="symmetric") for v in (x, y))
        x, y = ((v[::2, ::2] + v[1::2, ::2] + v[::2, 1::2] + v[1::2, 1::2]) / 4 for v in (x, y))
    return value


@pytest.mark.parametrize("size", [(176, 192), (163, 181)])
def test_equals_an_independent_implementation(size):
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.sin(np.arange(size[0]) / 9), np.cos(np.arange(size[1]) / 7)) / 4 + 0.5
    reference = np.stack([smooth, smooth[::-1]], -1)
    result = np.clip(reference + 0.1 * rng.standard_normal(reference.shape), 0, 1)
    found = ms_ssim(jnp.asarray(result, jnp.float32), jnp.asarray(reference, jnp.float32))
    expected = np.mean([independent(result[..., c], reference[..., c]) for c in range(2)])
    assert expected < 0.95
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_anticorrelated_frames_give_zero_and_no_nan():
    x = jnp.asarray(np.random.default_rng(1).random((2, 161, 161, 1)), jnp.float32)
    np.testing.assert_array_equal(ms_ssim(1 - x, x), 0)


def test_too_small_for_five_scales():
    x = jnp.zeros((160, 400, 1))
    with pytest.raises(UserError, match="at least 161 pixels a side; these are 400x160, use ssim"):
        ms_ssim(x, x)
