import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import losses
from vqe_jax.errors import UserError
from vqe_jax.losses.pixel import charbonnier, pool

RNG = np.random.default_rng(0)
A, B = (jnp.asarray(RNG.random((2, 3, 4, 5, 1), np.float32)) for _ in range(2))
W = jnp.asarray(RNG.integers(0, 2, (2, 3, 4, 5, 1)).astype(np.float32))


def test_charbonnier_adds_eps_inside_the_root():
    expected = np.mean(np.sqrt((np.asarray(A) - np.asarray(B)) ** 2 + 1e-6))
    np.testing.assert_allclose(charbonnier(A, B), expected, rtol=1e-6)
    np.testing.assert_allclose(charbonnier(A, A), 1e-3, rtol=1e-5)
    np.testing.assert_allclose(charbonnier(A, A, eps=1e-12), 1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "distance"), [("l1", np.abs), ("l2", np.square)]
)  # fmt: skip
def test_a_weighted_mean_is_over_the_weighted_pixels(name, distance):
    values, weight = distance(np.asarray(A) - np.asarray(B)), np.asarray(W)
    result = losses.build(name)(A, B, weight=W)
    np.testing.assert_allclose(result, (values * weight).sum() / weight.sum(), rtol=1e-5)


def test_frame_sum_is_the_mean_of_a_frame_summed_over_time():
    values = np.asarray(A)
    expected = values.mean(axis=(2, 3, 4)).sum(axis=1).mean()
    np.testing.assert_allclose(pool(A, reduction="frame_sum"), expected, rtol=1e-6)
    np.testing.assert_allclose(pool(A, reduction="sum"), values.sum(), rtol=1e-6)


def test_no_weighted_pixel_is_zero_with_zero_gradient():
    def loss(a):
        return charbonnier(a, B, weight=jnp.zeros_like(W))

    assert float(loss(A)) == 0
    assert not np.any(jax.grad(loss)(A))


def test_gradients_are_finite_where_the_clips_agree():
    for name in ("charbonnier", "l1", "l2", "fft", "gradient"):
        assert np.isfinite(jax.grad(losses.build(name))(A, A)).all(), name


def test_mistakes_name_the_near_miss():
    with pytest.raises(UserError, match="did you mean 'charbonnier'"):
        losses.build("charbonier")
    with pytest.raises(UserError, match=r"no option 'epsilon'.*'eps'"):
        losses.build("charbonnier", epsilon=1)
    with pytest.raises(UserError, match="reduction='avg'"):
        pool(A, reduction="avg")


def test_motion_compensation_compares_every_reference_with_the_frame():
    aligned = jnp.stack([A, B], axis=2)
    expected = np.mean((np.asarray(A) - np.asarray(B)) ** 2) / 2
    np.testing.assert_allclose(losses.build("motion_compensation")(aligned, A), expected, rtol=1e-5)


def test_harm_counts_frames_that_became_worse_alone():
    """Of two frames one is mended by half its error and one spoilt to twice its error."""
    came = A + 0.02
    given = jnp.concatenate([A[:, :1] + 0.01, A[:, 1:] + 0.04], axis=1)
    spoilt = (A.shape[1] - 1) / A.shape[1]
    found = losses.build("harm", floor=0.0)(given, A, compressed=came)
    np.testing.assert_allclose(found, spoilt * 20 * np.log10(2), rtol=1e-3)
    assert losses.build("harm")(came, A, compressed=came) == 0


def test_log_mse_is_what_psnr_counts():
    mse = np.mean(np.square(np.asarray(A) - np.asarray(B)), axis=(2, 3, 4))
    found = losses.build("log_mse", floor=0.0)(A, B)
    np.testing.assert_allclose(found, np.mean(10 * np.log10(mse)), rtol=1e-5)
    np.testing.assert_allclose(losses.build("log_mse", floor=1e-4)(A, A), -40.0, rtol=1e-5)
    halves = [float(losses.build("log_mse", floor=1e-7)(A, A + error)) for error in (0.02, 0.01)]
    np.testing.assert_allclose(halves[0] - halves[1], 20 * np.log10(2), rtol=0.05)  # any quality
