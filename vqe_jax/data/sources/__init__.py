"""The data sets that can be built; one file each, found by its name.

A file defines ``OPTIONS`` (a frozen dataclass whose fields are the keywords of ``build`` and of the
command line), ``PRESETS`` (configurations known by name) and ``plan(options)``, which lists the
pairs to make.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from vqe_jax.errors import UserError, near_misses

__all__ = ["names", "source"]

_NOT_DATA_SETS = frozenset({"common", "folders", "sequences"})


def names() -> list[str]:
    """The data sets there are."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NOT_DATA_SETS)


def source(dataset: str) -> ModuleType:
    """The module of a data set.

    Args:
      dataset: one of :func:`names`.

    Raises:
      UserError: there is none of that name.
    """
    if dataset not in names():
        raise UserError(f"data set {dataset!r} does not exist{near_misses(dataset, names())}")
    return importlib.import_module(f"vqe_jax.data.sources.{dataset}")
