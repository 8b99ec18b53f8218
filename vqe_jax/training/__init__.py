"""Stages, steps, the loop, checkpoints: ``run(config, workdir)`` trains any network."""

from __future__ import annotations

from typing import Any

__all__ = ["Outcome", "run"]


def __getattr__(name: str) -> Any:
    # Imported on use: the loop brings JAX, Orbax and grain.
    if name not in __all__:
        raise AttributeError(f"module 'vqe_jax.training' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("vqe_jax.training.loop"), name)
