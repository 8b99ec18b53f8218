"""LPIPS and DISTS as protocols: rounding, colors, and what they need."""

import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.metrics import PERCEPTUAL_PROTOCOLS, dists, lpips, perceptual_protocol
from vqe_jax.metrics.perceptual import weights_of
from vqe_jax.perceptual import DISTS, LPIPS

from ..perceptual.seeded import seeded


def test_every_protocol_has_its_weights():
    assert {weights_of(n) for n in PERCEPTUAL_PROTOCOLS} == {
        "lpips_alex",
        "lpips_vgg",
        "lpips_squeeze",
        "dists",
    }
    with pytest.raises(UserError, match="'lpips_alx' does not exist; did you mean 'lpips_alex'"):
        weights_of("lpips_alx")


def test_the_distance_of_rounded_pictures():
    rng = np.random.default_rng(0)
    pair = rng.random((2, 1, 32, 40, 3), np.float32)
    variables = seeded(LPIPS(divisor=16), *pair)
    metric = perceptual_protocol("lpips_alex", variables, divisor=16)
    rounded = np.round(pair * 255).astype(np.float32) / np.float32(255)
    expected = lpips(*rounded, variables=variables, divisor=16)
    # Values a little outside [0, 1], as networks make them, are clipped and not refused.
    shifted = pair[0] + np.where(pair[0] > 0.999, 0.5, 0).astype(np.float32)
    np.testing.assert_allclose(metric(shifted, pair[1]), expected, rtol=1e-5)
    assert (metric.quantity, metric.higher_is_better, metric.min_side) == ("lpips", False, 31)
    luma = perceptual_protocol("lpips_alex_y", variables, divisor=16)
    gray = [np.repeat(x[..., :1], 3, axis=-1) for x in pair]
    found = luma(*(x[..., :1] for x in pair))
    np.testing.assert_allclose(found, metric(*gray), rtol=1e-5)
    with pytest.raises(UserError, match="defined on luma"):
        luma(*gray)


def test_dists_at_both_sizes_that_are_reported():
    pair = np.random.default_rng(1).random((2, 1, 257, 260, 3), np.float32)
    variables = seeded(DISTS(divisor=32), *(x[:, :16, :16] for x in pair))
    rounded = np.round(pair * 255).astype(np.float32) / np.float32(255)
    for name, resize in (("dists", None), ("dists_256", 256)):
        metric = perceptual_protocol(name, variables, divisor=32)
        expected = dists(*rounded, variables=variables, divisor=32, resize=resize)
        np.testing.assert_allclose(metric(*pair), expected, rtol=1e-5)
        assert metric.quantity == "dists"
