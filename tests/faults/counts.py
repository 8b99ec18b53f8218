"""How a sweep of faults went."""

from __future__ import annotations

import dataclasses

from vqe_jax.errors import UserError

__all__ = ["Counts"]


@dataclasses.dataclass
class Counts:
    """What became of inputs that were made wrong.

    Attributes:
      tried: inputs.
      refused: with one line that says what is wrong.
      passed: and rightly so: nothing that matters had changed.
      shorter: of those that passed, streams cut between pictures: as if they had ended there.
      failed: anything else: a traceback, a wrong result, something lost.
      examples: of what failed, in words.
    """

    tried: int = 0
    refused: int = 0
    passed: int = 0
    failed: int = 0
    shorter: int = 0
    examples: list[str] = dataclasses.field(default_factory=list)

    def refuse(self, what: str, err: BaseException) -> None:
        """Counts an error: one line of a UserError is right, anything else is not."""
        self.tried += 1
        if isinstance(err, UserError) and "\n" not in str(err):
            self.refused += 1
        else:
            self.failed += 1
            self.examples.append(f"{what}: {type(err).__name__}: {str(err)[:300]}")

    def accept(self, what: str, *, rightly: bool) -> None:
        """Counts an input that was taken."""
        self.tried += 1
        if rightly:
            self.passed += 1
        else:
            self.failed += 1
            self.examples.append(f"{what}: taken, though it is another")
