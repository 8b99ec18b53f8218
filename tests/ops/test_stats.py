import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqe_jax.errors import UserError
from vqe_jax.ops.stats import local_variance


def _direct(x: np.ndarray, radius: int) -> np.ndarray:
    out = np.zeros(x.shape)
    for i, j in np.ndindex(*x.shape):
        rows = slice(max(i - radius, 0), i + radius + 1)
        cols = slice(max(j - radius, 0), j + radius + 1)
        out[i, j] = x[rows, cols].astype(np.float64).var()
    return out


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), level=st.floats(0, 1), texture=st.sampled_from([1e-4, 0.1, 1]))
@pytest.mark.parametrize("radius", [5, 11])
def test_definition(radius, seed, level, texture):
    rng = np.random.default_rng(seed)
    noise = rng.random((24, 19))
    x = np.clip(level + texture * (noise - 0.5), 0, 1).astype(np.float32)
    out = np.asarray(local_variance(jnp.asarray(x), radius))
    expected = _direct(x, radius)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)
    # A difference of large sums would lose faint textures altogether.
    np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-12)


def test_flat_is_exactly_zero():
    assert not local_variance(jnp.full((2, 40, 40), 0.5), 11).any()


def test_radius_zero_and_negative():
    assert not local_variance(jnp.arange(6.0).reshape(2, 3), 0).any()
    with pytest.raises(UserError, match="radius=-1"):
        local_variance(jnp.zeros((3, 3)), -1)
