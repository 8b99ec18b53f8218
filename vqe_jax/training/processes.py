"""The few words several processes of one run need."""

from __future__ import annotations

import jax

__all__ = ["barrier", "is_primary"]


def is_primary() -> bool:
    """Whether this process writes the files and speaks for the run."""
    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Waits until all processes are here; nothing with one.

    Args:
      name: said by the runtime if some process never comes.
    """
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(f"vqe_jax {name}")
