import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.metrics.temporal import flicker, followed, motion, smooth_regions, warping_error


@pytest.fixture(scope="module")
def truth():
    """Waves that move by (1, 0.5) pixels a frame; their left half is flat but for a slow slope."""
    y, x = np.mgrid[:48, :96].astype(np.float64)
    frames = []
    for t in range(4):
        texture = np.sin((x - t) / 3) * np.sin((y - t / 2) / 4) / 5
        frames.append(0.5 + np.where(x - t > 48, texture, 0) + (x - t) / 2000)
    return jnp.asarray(np.stack(frames)[..., None], jnp.float32)


def test_the_truth_does_not_flicker_and_noise_does_by_its_variance(truth):
    noise = 0.02 * jax.random.normal(jax.random.key(0), truth.shape)
    assert not flicker(truth, truth).any()
    # Two independent frames differ by twice the variance; interpolation takes some of one away.
    found = np.asarray(flicker(truth + noise, truth))
    assert (found > 1.0 * 0.02**2).all() and (found < 2.1 * 0.02**2).all()
    steady = 0.02 * jnp.ones_like(truth)
    np.testing.assert_allclose(flicker(truth + steady, truth), 0, atol=1e-8)


def test_smooth_regions_are_the_flat_half(truth):
    where = np.asarray(smooth_regions(truth))
    assert where[:, :, :40].all() and where[:, :, 60:].mean() < 0.1
    noise = 0.05 * jax.random.normal(jax.random.key(0), truth.shape)
    textured = jnp.where(jnp.arange(96)[None, None, :, None] > 55, noise, 0)
    flow = motion(truth)
    everywhere, smooth = (
        np.asarray(flicker(truth + textured, truth, flow=flow, smooth=s)) for s in (False, True)
    )
    assert (smooth < 0.2 * everywhere).all()


def test_what_is_hidden_does_not_count(truth):
    cut = truth.at[2, 10:20, 60:80].set(1.0)
    flow = jnp.zeros((3, 48, 96, 2))
    weight = np.asarray(followed(cut, flow))
    assert not weight[1, 10:20, 60:80].any() and not weight[2, 10:20, 60:80].any()
    outside = flow.at[:, :, 0, 0].set(-1.0)
    assert not np.asarray(followed(truth, outside))[:, :, 0].any()


def test_warping_error_of_frames_that_only_move_and_of_one_frame():
    clip = jax.random.uniform(jax.random.key(0), (1, 8, 10, 3))
    clip = jnp.concatenate([clip, jnp.roll(clip, 1, axis=2)])
    flow = jnp.zeros((1, 8, 10, 2)).at[..., 0].set(-1.0)
    weight = jnp.ones((1, 8, 10)).at[:, :, 0].set(0)
    np.testing.assert_allclose(warping_error(clip, flow, weight), 0, atol=1e-12)
    with pytest.raises(UserError, match="one frame"):
        warping_error(clip[:1], flow[:0])
