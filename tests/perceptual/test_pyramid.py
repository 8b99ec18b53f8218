import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.perceptual import gaussian_downscale


@pytest.mark.parametrize(
    ("source", "target", "factor"),
    [("real", "real_0.5", 2), ("real", "real_0.25", 4), ("real", "real_0.125", 8),
     ("rgb", "rgb_0.25", 4)],
)  # fmt: skip
def test_levels_of_the_released_code(shared, source, target, factor):
    with np.load(shared / "golden/peq_losses_div8.npz") as golden:
        x = jnp.asarray(golden[f"in/{source}"].transpose(0, 2, 3, 1))
        expected = golden[f"out/pyr_{target}"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(gaussian_downscale(x, factor=factor), expected, atol=1.7e-5)


def test_factor_one_changes_nothing_and_sizes_round_up():
    x = jnp.ones((1, 9, 13, 2))
    assert gaussian_downscale(x, factor=1) is x
    y = gaussian_downscale(x, factor=4)
    assert y.shape == (1, 3, 4, 2)
    np.testing.assert_allclose(y[0, 1, 1], 1, atol=4e-3)  # nearly all of the window lies inside
