"""Between what the numbers of a config lie: others would be found out by a traceback, or never."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from vqe_jax.errors import UserError

__all__ = ["check_bounds"]

_INFINITE = math.inf
# Section and key: the least and the greatest number.
_BOUNDS: dict[tuple[str, str], tuple[float, float]] = {
    ("Run", "seed"): (0, 2**63 - 1),
    ("Run", "log_every"): (1, _INFINITE),
    ("Run", "max_skipped"): (1, _INFINITE),
    ("Checkpointing", "every"): (0, _INFINITE),
    ("Checkpointing", "keep"): (1, _INFINITE),
    ("Evaluation", "every"): (0, _INFINITE),
    ("Evaluation", "frames"): (1, _INFINITE),
    ("Evaluation", "worst_weight"): (0, 1),
    ("Stage", "steps"): (1, _INFINITE),
    ("Stage", "learning_rate"): (0, _INFINITE),
    ("Stage", "ema"): (0, math.nextafter(1, 0)),
    ("Schedule", "end"): (0, _INFINITE),
    ("Schedule", "periods"): (1, _INFINITE),
    ("Schedule", "length"): (1, _INFINITE),
    ("Schedule", "offset"): (0, _INFINITE),
    ("Schedule", "warmup"): (0, _INFINITE),
    ("Schedule", "fractions"): (0, 1),
    ("Schedule", "factor"): (0, _INFINITE),
    ("Schedule", "restart_scales"): (0, _INFINITE),
    ("Optimizer", "betas"): (0, math.nextafter(1, 0)),
    ("Optimizer", "eps"): (0, _INFINITE),
    ("Optimizer", "weight_decay"): (0, _INFINITE),
    ("Optimizer", "clip_norm"): (math.ulp(0.0), _INFINITE),
    ("Optimizer", "adaptive_clip"): (math.ulp(0.0), _INFINITE),
    ("Rate", "factor"): (0, _INFINITE),
    ("Rate", "start"): (0, _INFINITE),
}


def check_bounds(section: Any, where: str = "config") -> None:
    """Refuses numbers that no run can have: steps below one, a decay above one, infinities.

    Args:
      section: a dataclass of the config, or what one holds.

    Raises:
      UserError: names the key, its value and what was expected.
    """
    if dataclasses.is_dataclass(section):
        for field in dataclasses.fields(section):
            value, name = getattr(section, field.name), f"{where}.{field.name}"
            low, high = _BOUNDS.get((type(section).__name__, field.name), (-_INFINITE, _INFINITE))
            _check_numbers(value, name, float(low), float(high))
            check_bounds(value, name)
    elif isinstance(section, tuple):
        for index, value in enumerate(section):
            check_bounds(value, f"{where}[{index}]")


def _check_numbers(value: Any, name: str, low: float, high: float) -> None:
    for number in value if isinstance(value, tuple) else (value,):
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            continue
        if not math.isfinite(number):
            raise UserError(f"{name}={value}; expected a finite number")
        if not low <= number <= high:
            raise UserError(f"{name}={value}; expected {_words(low, high)}")


def _words(low: float, high: float) -> str:
    least = f"at least {low:g}" if low in (0, 1) else "more than 0"
    if high == _INFINITE:
        return least
    most = "less than 1" if 0.9 < high < 1 else f"at most {high:g}"
    return f"{least} and {most}"
