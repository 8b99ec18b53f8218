"""Where a run stands, beside its arrays."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["Progress"]


@dataclasses.dataclass
class Progress:
    """Where a run stands, beside its arrays; the session owns the one that moves.

    Attributes:
      best_score: of the stage's best validation; None before the first.
      validated: the step whose validation is the last that counts here.
    """

    step: int
    stage: int
    data: str
    best_score: float | None = None
    best_step: int = 0
    validated: int = 0
    hosts: int = 1
    config: dict[str, Any] = dataclasses.field(default_factory=dict)

    def enter(self, stage: int) -> None:
        """Begins a stage, whose best model is still to be found."""
        if stage != self.stage:
            self.stage, self.best_score, self.best_step = stage, None, 0
