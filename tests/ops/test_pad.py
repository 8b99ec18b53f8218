import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.ops.pad import crop_to_size, pad_to_multiple


@pytest.mark.parametrize(
    ("multiple", "least", "size"), [(4, 1, (8, 12)), (1, 9, (9, 10)), (4, 13, (16, 16))]
)
def test_edges_are_repeated_at_the_bottom_and_on_the_right(multiple, least, size):
    clip = jnp.asarray(np.random.default_rng(0).random((2, 3, 7, 10, 1), np.float32))
    padded = pad_to_multiple(clip, multiple, least)
    assert padded.shape == (2, 3, *size, 1)
    rows, columns = (np.minimum(np.arange(n), m - 1) for n, m in zip(size, (7, 10), strict=True))
    np.testing.assert_array_equal(padded, clip[:, :, rows][:, :, :, columns])
    np.testing.assert_array_equal(crop_to_size(padded, 7, 10), clip)


def test_what_fits_is_left_alone():
    clip = jnp.zeros((8, 12, 1))
    assert pad_to_multiple(clip, 4) is clip
