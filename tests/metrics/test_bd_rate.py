"""Bjontegaard deltas against an independent integration, and where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.interpolate import BarycentricInterpolator, PchipInterpolator

from vqe_jax.errors import UserError
from vqe_jax.metrics import bd_psnr, bd_rate

# Four points of two encoders, as in the spreadsheets that come with such comparisons.
ANCHOR = ([686.76, 309.58, 157.11, 85.95], [40.28, 37.18, 34.24, 31.42])
TEST = ([893.34, 407.8, 204.93, 112.75], [40.39, 37.21, 34.17, 31.24])


def reference(interpolate):
    """Mean difference of log-rates by adaptive quadrature over exact interpolants."""
    p1, p2 = ANCHOR[1], TEST[1]
    low, high = max(min(p1), min(p2)), min(max(p1), max(p2))
    f = [interpolate(np.sort(p), np.log10(np.sort(r))) for r, p in (ANCHOR, TEST)]
    area = quad(lambda p: f[1](p) - f[0](p), low, high)[0]
    return (10 ** (area / (high - low)) - 1) * 100


@pytest.mark.parametrize(
    ("fit", "interpolate"), [("cubic", BarycentricInterpolator), ("pchip", PchipInterpolator)]
)
def test_against_quadrature(fit, interpolate):
    assert bd_rate(*ANCHOR, *TEST, fit=fit) == pytest.approx(reference(interpolate), abs=1e-6)


@settings(deadline=None)
@given(factor=st.floats(0.2, 5), gain=st.floats(-1, 1), fit=st.sampled_from(["cubic", "pchip"]))
def test_scaled_rates_and_shifted_psnrs_come_back(factor, gain, fit):
    rates, psnrs = ANCHOR
    scaled = [factor * r for r in rates]
    assert bd_rate(rates, psnrs, scaled, psnrs, fit=fit) == pytest.approx(100 * (factor - 1))
    shifted = [p + gain for p in psnrs]
    assert bd_psnr(rates, psnrs, rates, shifted, fit=fit) == pytest.approx(gain, abs=1e-9)


def test_signs_better_is_less_rate_and_more_psnr():
    better = [p + 0.5 for p in ANCHOR[1]]
    assert bd_rate(*ANCHOR, ANCHOR[0], better) < 0 < bd_psnr(*ANCHOR, ANCHOR[0], better)


def test_five_points_are_fitted_not_interpolated():
    rates, psnrs = [1, 2, 4, 8, 16], [30, 33, 36, 39, 42]
    assert bd_rate(rates, psnrs, rates, psnrs) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        (([1, 2, 3], [30, 31, 32]), "at least 4"),
        (([0, 1, 2, 3], [30, 31, 32, 33]), "must be positive"),
        (([1, 2, 3, 4], [30, 31, 31, 33]), "share a coordinate"),
        (([1, 2, 3, 4], [50, 51, 52, 53]), "no PSNR in common"),
    ],
)
def test_what_is_not_a_curve_is_refused(curve, said):
    with pytest.raises(UserError, match=said):
        bd_rate(*ANCHOR, *curve)
