import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.ops.pool import average_pool, max_pool


@pytest.mark.parametrize(
    "key,pool,size,stride,padding",
    [
        ("maxpool7s3", max_pool, 7, 3, 0),
        ("maxpool3s2p1", max_pool, 3, 2, 1),
        ("avgpool3s2p1", average_pool, 3, 2, 1),
    ],
)
def test_golden(shared, key, pool, size, stride, padding):
    data = np.load(shared / "golden/primitives_s.npz")
    x = jnp.moveaxis(jnp.asarray(data["in/x"]), 1, -1)
    got = jnp.moveaxis(pool(x, size, stride=stride, padding=padding), -1, 1)
    np.testing.assert_allclose(got, data[f"out/{key}"], atol=1e-5)


def test_negative_maps_are_not_raised_by_padding():
    assert float(max_pool(-jnp.ones((3, 3, 1)), 3, stride=2, padding=1).max()) == -1.0
