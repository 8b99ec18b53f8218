"""Pooling is PyTorch's: floor division, averages that count the padding."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.ops.pool import average_pool


def _average(x, window, strides, padding):
    return average_pool(x, window[0], stride=strides[0], padding=padding[0][0])


@pytest.mark.parametrize(
    "key,pool,size,stride,padding",
    [
        ("maxpool7s3", nn.max_pool, 7, 3, 0),
        ("maxpool3s2p1", nn.max_pool, 3, 2, 1),
        ("avgpool3s2p1", _average, 3, 2, 1),
    ],
)
def test_golden(shared, key, pool, size, stride, padding):
    data = np.load(shared / "golden/primitives_s.npz")
    x = jnp.moveaxis(jnp.asarray(data["in/x"]), 1, -1)
    got = pool(x, (size, size), (stride, stride), ((padding, padding),) * 2)
    np.testing.assert_allclose(jnp.moveaxis(got, -1, 1), data[f"out/{key}"], atol=1e-5)
