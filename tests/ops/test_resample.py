import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.ops.resample import resize_bilinear


@pytest.mark.parametrize(
    ("key", "size", "aligned"),
    [
        ("up2_half_pixel", (26, 36), False),
        ("up2_align", (26, 36), True),
        ("resize_odd", (21, 25), False),
    ],
)
def test_golden(shared, key, size, aligned):
    data = np.load(shared / "golden/primitives_s.npz")
    got = resize_bilinear(jnp.moveaxis(data["in/x"], 1, -1), size, align_corners=aligned)
    np.testing.assert_allclose(jnp.moveaxis(got, -1, 1), data[f"out/{key}"], atol=1e-5)


def test_a_plane_stays_a_plane():
    """Linear in both directions is linear afterwards, wherever no border is near."""
    y, x = jnp.mgrid[:8, :9].astype(jnp.float32)
    got = resize_bilinear((2 * y - x)[..., None], (16, 18))[2:-2, 2:-2, 0]
    assert np.ptp(np.diff(got, axis=0)) < 1e-5 and np.diff(got, axis=0)[0, 0] == pytest.approx(1)


def test_no_pixel_is_no_size():
    with pytest.raises(UserError, match=r"size=\(0, 3\)"):
        resize_bilinear(jnp.zeros((2, 2, 1)), (0, 3))
