"""Bjontegaard deltas: two rate-distortion curves in one number.

A curve is at least four points (rate, PSNR). ``"cubic"`` is the original of VCEG-M33, one cubic
polynomial through log10(rate) and PSNR; ``"pchip"`` the monotone piecewise cubic of later
recommendations, which does not overshoot. Both integrate over the part that both curves cover.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from vqe_jax.errors import UserError

__all__ = ["bd_psnr", "bd_rate"]

Points = Float[np.ndarray, " n"] | Sequence[float | int]
Fit = Literal["cubic", "pchip"]


def bd_rate(
    anchor_rates: Points,
    anchor_psnrs: Points,
    test_rates: Points,
    test_psnrs: Points,
    *,
    fit: Fit = "cubic",
) -> float:
    """How much more rate the test needs for the same PSNR, in percent; negative is a saving.

    Args:
      anchor_rates: bits per second (any unit, the same for both) of the anchor, at least four.
      anchor_psnrs: its PSNR at these rates, in dB.

    Raises:
      UserError: fewer than four points, rates that are not positive, equal PSNRs, or curves that
        share no PSNR.

    Example:
      >>> psnrs = [30.0, 33.0, 36.0, 39.0]
      >>> round(bd_rate([1, 2, 4, 8], psnrs, [0.9, 1.8, 3.6, 7.2], psnrs), 6)
      -10.0
    """
    anchor = _points("anchor", anchor_rates, anchor_psnrs)
    test = _points("test", test_rates, test_psnrs)
    difference = _mean_gap((anchor[1], anchor[0]), (test[1], test[0]), fit, "PSNR")
    return float((10**difference - 1) * 100)


def bd_psnr(
    anchor_rates: Points,
    anchor_psnrs: Points,
    test_rates: Points,
    test_psnrs: Points,
    *,
    fit: Fit = "cubic",
) -> float:
    """How much higher the test's PSNR is at the same rate, in dB; arguments as :func:`bd_rate`.

    Example:
      >>> rates = [1.0, 2.0, 4.0, 8.0]
      >>> round(bd_psnr(rates, [30, 33, 36, 39], rates, [30.5, 33.5, 36.5, 39.5]), 6)
      0.5
    """
    anchor = _points("anchor", anchor_rates, anchor_psnrs)
    test = _points("test", test_rates, test_psnrs)
    return float(_mean_gap(anchor, test, fit, "rate"))


def _points(name: str, rates: Points, psnrs: Points) -> tuple[np.ndarray, np.ndarray]:
    rate, psnr = (np.asarray(values, np.float64) for values in (rates, psnrs))
    if len(rate) != len(psnr) or len(rate) < 4:
        raise UserError(
            f"BD-rate: {name} has {len(rate)} rates and {len(psnr)} PSNRs, expected at least 4 each"
        )
    if rate.min() <= 0:
        raise UserError(f"BD-rate: {name} has a rate of {rate.min():g}; rates must be positive")
    return np.log10(rate), psnr


def _integral(x: np.ndarray, y: np.ndarray, fit: Fit) -> Callable[[float, float], float]:
    order = np.argsort(x)
    x, y = x[order], y[order]
    if np.any(np.diff(x) <= 0):
        raise UserError("BD-rate: two points of one curve share a coordinate; drop one of them")
    if fit == "cubic":
        primitive = np.polynomial.Polynomial.fit(x, y, 3).integ()
        return lambda low, high: float(primitive(high) - primitive(low))
    if fit != "pchip":
        raise UserError(f"BD-rate fit {fit!r} is not known; expected 'cubic' or 'pchip'")
    from scipy.interpolate import PchipInterpolator

    curve = PchipInterpolator(x, y)
    return lambda low, high: float(curve.integrate(low, high))


def _mean_gap(
    anchor: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], fit: Fit, axis: str
) -> float:
    """Mean of test minus anchor over the abscissae that both cover."""
    low = max(anchor[0].min(), test[0].min())
    high = min(anchor[0].max(), test[0].max())
    if high <= low:
        raise UserError(f"BD-rate: the two curves have no {axis} in common")
    gap = _integral(*test, fit)(low, high) - _integral(*anchor, fit)(low, high)
    return gap / (high - low)
