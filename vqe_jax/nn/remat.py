"""Whether a training step keeps what its backward pass reads, or computes it a second time.

Recomputing costs a forward pass and saves most of a step's memory. Networks have a field ``remat``:
True, False, or None for "where memory asks for it", which training decides for the network, the
batch and the device at hand (:mod:`vqe_jax.training.memory`). Where nobody has decided, a module
recomputes on accelerators, whose memory is small beside their speed, and keeps on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

__all__ = ["recomputed", "recomputes"]


def recomputes(remat: bool | None) -> bool:
    """What a field ``remat`` comes to here."""
    return jax.default_backend() != "cpu" if remat is None else remat


def recomputed(remat: bool | None) -> Callable[[Any], Any]:
    """What to wrap a module's class in, so that ``remat`` decides about its inside.

    Example:
      >>> recomputed(False)(nn.Dense) is nn.Dense
      True
    """
    return nn.remat if recomputes(remat) else lambda module: module
