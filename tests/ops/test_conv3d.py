"""3-D convolution in both forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.ops.conv3d import conv3d


def _direct(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Tap by tap in float64."""
    size, (t, h, w) = len(kernel), x.shape[1:4]
    reach = size // 2
    wide = np.pad(x, [(0, 0), *[(reach, reach)] * 3, (0, 0)])
    total = np.zeros((*x.shape[:4], kernel.shape[-1]))
    for d, i, j in np.ndindex(size, size, size):
        total += wide[:, d : d + t, i : i + h, j : j + w] @ kernel[d, i, j]
    return total


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("flat", [False, True])
def test_both_forms_are_near_float64(size: int, flat: bool) -> None:
    draw = np.random.default_rng(size)
    x, kernel = draw.standard_normal((2, 4, 5, 6, 3)), draw.standard_normal((size,) * 3 + (3, 2))
    found = conv3d(jnp.asarray(x, jnp.float32), jnp.asarray(kernel, jnp.float32), flat=flat)
    expected = _direct(x, kernel)
    assert np.abs(found - expected).max() < 2e-6 * np.abs(expected).max()


def test_gradients_of_both_forms_agree() -> None:
    draw = np.random.default_rng(0)
    x = jnp.asarray(draw.standard_normal((1, 3, 4, 4, 2)), jnp.float32)
    kernel = jnp.asarray(draw.standard_normal((3, 3, 3, 2, 3)), jnp.float32)

    def gradients(flat: bool) -> tuple[jax.Array, ...]:
        return jax.grad(lambda *a: jnp.sum(jnp.sin(conv3d(*a, flat=flat))), (0, 1))(x, kernel)

    for one, other in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
