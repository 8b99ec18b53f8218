"""The watch over recurrent networks: a state that runs away is reset, and it is said so.

A recurrence trained on short clips can amplify itself on long ones until the picture is noise.
The guard looks at two numbers after every step, whatever the network: the size of its state and
how far the frame moved from its input. Training can log the same numbers (:func:`state_rms`).
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["Guard", "GuardEvent", "GuardWarning", "Watch", "state_rms", "vitals"]


class GuardWarning(RuntimeWarning):
    """The state of a recurrent network was reset, or a frame passed through."""


@dataclasses.dataclass(frozen=True)
class GuardEvent:
    """Something the guard did.

    Attributes:
      frame: index of the frame in its stream, from 0.
      action: ``"reset"`` (the state was dropped and the frame computed again) or ``"passed"``
        (even then it was rubbish: the compressed frame is given unchanged).
    """

    frame: int
    action: str
    reason: str

    def __str__(self) -> str:
        done = {
            "reset": "the network's state was reset",
            "passed": "the compressed frame was passed through",
        }[self.action]
        return f"frame {self.frame}: {self.reason}; {done}"


def _warn(event: GuardEvent) -> None:
    warnings.warn(str(event), GuardWarning, stacklevel=2)


@dataclasses.dataclass(frozen=True)
class Guard:
    """What is still a healthy state, and whom to tell when it is not.

    Attributes:
      limit: the largest root mean square allowed in any array of the state. None: ``growth``
        times the largest seen over the first ``settle`` frames, and never below ``growth``.
      growth: see ``limit``.
      settle: frames over which the state's ordinary size is learnt.
      max_change: the largest root mean square difference between a frame and its input, in the
        frame's units; 0.25 is 12 dB, which no enhancement is. None: not looked at.
      report: called with every :class:`GuardEvent`; by default a :class:`GuardWarning`.
      observe: called after every step with the frame's index, the state's size and the frame's
        distance from its input, if given.
      passive: only observe, whatever is seen: for logs and for tests of the network itself.
    """

    limit: float | None = None
    growth: float = 10.0
    settle: int = 32
    max_change: float | None = 0.25
    report: Callable[[GuardEvent], None] = _warn
    observe: Callable[[int, float, float], None] | None = None
    passive: bool = False


def state_rms(state: Any) -> Float[Array, ""]:
    """The root mean square of the largest array of a state; not finite if any entry is not.

    Args:
      state: any tree of arrays; integers are left out.

    Returns:
      A scalar; 0 for a state without arrays.

    Example:
      >>> float(state_rms({"hidden": jnp.full((2, 2), 3.0)}))
      3.0
    """
    leaves = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.inexact)]
    if not leaves:
        return jnp.zeros(())
    sizes = [jnp.sqrt(jnp.mean(jnp.square(x.astype(jnp.float32)))) for x in leaves]
    return jnp.max(jnp.stack(sizes))


def vitals(
    state: Any, frame: Float[Array, "*lead h w c"], source: Float[Array, "*lead h w c"]
) -> Float[Array, " 2"]:
    """What the guard looks at: the state's size and the frame's distance from its input."""
    change = jnp.sqrt(jnp.mean(jnp.square((frame - source).astype(jnp.float32))))
    return jnp.stack([state_rms(state), change])


class Watch:
    """One stream's guard at work; remembers the state's ordinary size."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._ordinary = 0.0
        self._seen = 0

    @property
    def limit(self) -> float:
        """The largest state allowed now."""
        if self._guard.limit is not None:
            return self._guard.limit
        if self._seen < self._guard.settle:
            return math.inf
        return self._guard.growth * max(self._ordinary, 1.0)

    def look(self, frame: int, size: float, change: float) -> str | None:
        """Tells the observer of a step; then as :meth:`complaint`, unless the guard is passive."""
        if self._guard.observe:
            self._guard.observe(frame, size, change)
        return None if self._guard.passive else self.complaint(size, change)

    def complaint(self, size: float, change: float) -> str | None:
        """What is wrong with a step, or None; a good step teaches the ordinary size.

        Args:
          size: root mean square of the state.
          change: root mean square difference between the frame and its input.
        """
        if not (math.isfinite(size) and math.isfinite(change)):
            return "the network's state or result is not finite"
        if size > self.limit:
            return f"the state's size {size:.3g} is above its limit {self.limit:.3g}"
        most = self._guard.max_change
        if most is not None and change > most:
            return f"the result is {change:.3g} away from its input (at most {most:.3g})"
        if self._seen < self._guard.settle:
            self._ordinary = max(self._ordinary, size)
            self._seen += 1
        return None

    def report(self, frame: int, action: str, reason: str) -> None:
        """Tells whoever listens."""
        self._guard.report(GuardEvent(frame, action, reason))
