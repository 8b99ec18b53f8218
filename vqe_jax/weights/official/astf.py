"""ASTF has no official weights; three BasicVSR checkpoints under one name each make one.

``from_torch("astf", tensors)`` takes BasicVSR's names with ``stage1.``, ``enhance1.`` or
``enhance2.`` before them.
"""

from __future__ import annotations

from vqe_jax.models import fields
from vqe_jax.weights.conversion import Tensor, prefixed
from vqe_jax.weights.official import basicvsr

__all__ = ["IGNORED", "rename", "tensors"]

_PARTS = ("stage1", "enhance1", "enhance2")

IGNORED = (r"^(stage1|enhance1|enhance2)\.(spynet\.(mean|std)|step_counter)$",)


def rename(key: str) -> str:
    """A tensor's name in mmediting's spelling, behind that of its network."""
    part, _, rest = key.partition(".")
    return f"{part}.{basicvsr.rename(rest)}"


def tensors(**kwargs: object) -> dict[str, Tensor]:
    """Our variables and the official tensors they are; the arguments are the network's fields."""
    field = fields("astf") | kwargs
    shared = {k: field[k] for k in ("blocks", "flow_levels", "flow_widths")}
    table: dict[str, Tensor] = {}
    for part in _PARTS:
        table |= prefixed(basicvsr.tensors(**shared), part, f"{part}.")
    return table
