import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.ops.lucas_kanade import lucas_kanade


def _waves(dx: float, dy: float, h: int = 61, w: int = 83) -> jnp.ndarray:
    """A smooth picture moved by (dx, dy) pixels."""
    y, x = np.mgrid[:h, :w].astype(np.float64)
    x, y = x - dx, y - dy
    picture = np.sin(x / 5 + y / 9) + np.sin(y / 4 - x / 11) + np.sin((x + y) / 23)
    return jnp.asarray(0.5 + picture / 8, jnp.float32)[None, ..., None]


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (1.4, -0.6), (5.0, 3.0)])
def test_finds_a_shift(dx, dy):
    flow = jax.jit(lucas_kanade)(_waves(dx, dy), _waves(0, 0))
    inner = np.asarray(flow[0, 12:-12, 12:-12])
    np.testing.assert_allclose(inner.mean((0, 1)), [-dx, -dy], atol=0.05)
    assert np.quantile(np.abs(inner - np.array([-dx, -dy])), 0.9) < 0.5


def test_flat_frames_do_not_move():
    flat = jnp.full((1, 61, 83, 1), 0.3)
    np.testing.assert_array_equal(jax.jit(lucas_kanade)(flat, flat), np.zeros((1, 61, 83, 2)))
