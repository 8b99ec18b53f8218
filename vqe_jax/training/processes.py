"""The few words several processes of one run need."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

__all__ = ["from_primary", "is_primary"]

T = TypeVar("T")


def is_primary() -> bool:
    """Whether this process writes the files and speaks for the run."""
    return jax.process_index() == 0


def from_primary(make: Callable[[], T]) -> T:
    """What the first process makes, in all of them; its error, too, is raised in all of them.

    So that only one process touches a run's files, and that all agree on what was found there.

    Args:
      make: called in the first process only; every process must come here.
    """
    if jax.process_count() == 1:
        return make()
    result: tuple[Any, Exception | None] = (None, None)
    if is_primary():
        try:
            result = make(), None
        except Exception as err:
            result = None, err
    value, error = _broadcast(result)
    if error is not None:
        raise error
    return value


def _broadcast(value: Any) -> Any:
    from jax.experimental import multihost_utils

    # Bytes of this run's own first process, so that unpickling them is as safe as its code.
    blob = np.frombuffer(pickle.dumps(value), np.uint8) if is_primary() else np.empty(0, np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(blob.size)))
    if not is_primary():
        blob = np.zeros(size, np.uint8)
    return pickle.loads(np.asarray(multihost_utils.broadcast_one_to_all(blob)).tobytes())
