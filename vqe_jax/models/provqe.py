"""ProVQE's first stage: BasicVSR++ that remembers peak-quality frames (NTIRE 2022's winner).

The parameters are BasicVSR++'s. Where that one aligns the frame visited before the last, this one
aligns the latest peak-quality frame before the last, however long ago, and falls back on
BasicVSR++'s where none has been visited yet.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Bool

from vqe_jax.models import Context, Side
from vqe_jax.models.basicvsrpp import BasicVSRPlusPlus

__all__ = ["ProVQE"]


class ProVQE(BasicVSRPlusPlus):
    """BasicVSR++ with key-frame propagation in place of second order."""

    @property
    def context(self) -> Context:
        """As BasicVSR++'s; it wants to be told the peak-quality frames."""
        return dataclasses.replace(super().context, side=frozenset({"peak"}))

    def keys(self, side: Side, size: tuple[int, ...]) -> Bool[Array, "b t"]:
        """The peak-quality frames."""
        return jnp.asarray(side.peak, bool)
