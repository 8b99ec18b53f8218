"""Which frame rate a file has: containers give a mean and FFmpeg a guess, and either may be odd."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

__all__ = ["Steps", "nominal_rate"]

_FASTEST = 1000  # beyond this it is the clock's unit, not a rate


def _usual(rate: Fraction) -> bool:
    """Whole numbers, and the 1000/1001 of them that television has."""
    return rate.denominator == 1 or (rate.denominator == 1001 and rate.numerator % 1000 == 0)


def nominal_rate(mean: Fraction | None, guess: Fraction | None) -> Fraction | None:
    """Frames per second as the file was meant.

    A cut file has a mean that counts hidden frames, a phone's a mean over uneven steps.

    Args:
      mean: frames over duration; None or 0 where unknown.
      guess: FFmpeg's, from the steps between the frames; None or 0 where unknown.

    Example:
      >>> nominal_rate(Fraction(290, 11), Fraction(25))
      Fraction(25, 1)
    """
    rates = [rate for rate in (mean, guess) if rate and rate <= _FASTEST]
    usual = [rate for rate in rates if _usual(rate)]
    return next(iter(usual or rates), None)


class Steps:
    """Whether frames come at even steps, for files that have a frame rate and no times.

    Args:
      rate: of the file; None where it has times, or where nobody asks.
    """

    def __init__(self, rate: Fraction | None) -> None:
        self._rate = rate
        self._first: float | None = None
        self._count = self._uneven = 0
        self._most = 0.0

    def note(self, seconds: float | None) -> None:
        """Notes the next frame.

        Args:
          seconds: when it is shown; None where it has no time.
        """
        if self._rate is None or seconds is None:
            return
        self._first = seconds if self._first is None else self._first
        off = abs(seconds - self._first - self._count / self._rate)
        self._count += 1
        self._uneven += off > 0.75 / self._rate
        self._most = max(self._most, off)

    def uneven(self, path: Path) -> str:
        """What to say of them; empty where they are even."""
        if not self._uneven or self._rate is None:
            return ""
        return (
            f"{path} has no times of its own: at {float(self._rate):.5g} frames a second, "
            f"{self._uneven} of {self._count} frames come up to {self._most:.2f} s away from "
            "their time in the source; write .mkv or .mp4 to keep them"
        )
