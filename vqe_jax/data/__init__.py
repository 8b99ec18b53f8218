"""Pairs of compressed and raw clips, and the pipeline that feeds training.

``build.build`` encodes videos into a data set (also ``python -m vqe_jax.data``), ``open_pairs``
opens one, ``batches`` draws training batches from it. The names are imported on use: the processes
that encode import this package too, and need neither JAX nor grain.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["DataConfig", "Pair", "batches", "open_pairs"]

_LAZY = {
    "DataConfig": "vqe_jax.data.pipeline",
    "Pair": "vqe_jax.data.pair",
    "batches": "vqe_jax.data.pipeline",
    "open_pairs": "vqe_jax.data.pair",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vqe_jax.data' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
