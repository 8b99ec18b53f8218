"""ASTF has no official weights; three BasicVSR checkpoints under one name each make one.

``from_torch("astf", tensors)`` takes BasicVSR's names with ``stage1.``, ``enhance1.`` or
``enhance2.`` before them.
"""

from vqe_jax.weights.official import basicvsr
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["DEAD", "RENAMES", "RULES"]

RULES: Rules = (prefixed(r"(stage1|enhance1|enhance2)", r"\1", basicvsr.RULES),)
DEAD, RENAMES = basicvsr.DEAD, basicvsr.RENAMES
