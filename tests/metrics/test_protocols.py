"""Named protocols, those of the package and the reader's own."""

import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import metrics
from vqe_jax.errors import UserError
from vqe_jax.metrics import PROTOCOLS, Protocol, protocol

WORST_PIXEL = Protocol(
    "worst_pixel",
    "error",
    "luma",
    "uint8",
    "the largest difference, in code values",
    lambda x, y: 255 * jnp.abs(x - y).max(axis=(-3, -2, -1)),
    higher_is_better=False,
)


def test_a_protocol_of_ones_own_is_registered_or_referred_to():
    frames = np.zeros((2, 4, 4, 1), np.float32)
    result = frames.copy()
    result[1, 2, 3] = 7.3 / 255  # rounds to 7 code values
    by_reference = protocol(f"{__name__}:WORST_PIXEL")
    np.testing.assert_allclose(by_reference(result, frames), [0, 7], atol=1e-4)
    metrics.register("worst_pixel", WORST_PIXEL)
    try:
        assert protocol("worst_pixel") is WORST_PIXEL and "worst_pixel" in PROTOCOLS
    finally:
        PROTOCOLS.unregister("worst_pixel")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("psnr_yy", "did you mean 'psnr_y'"),
        ("vqe_jax.metrics:psnr", "expected a Protocol"),
    ],
)
def test_names_that_are_no_protocol(name, message):
    with pytest.raises(UserError, match=message):
        protocol(name)
