"""Reports: what models gain on a data set or a pair of files, and whether the gain lasts."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Clip": "material",
    "ClipResult": "measure",
    "LongRun": "long_run",
    "Options": "measure",
    "Report": "report",
    "Subject": "subjects",
    "clip_from_files": "material",
    "clips_from_pairs": "material",
    "evaluate": "run",
    "evaluate_long": "run",
    "open_subjects": "subjects",
    "write_report": "report",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    # Imported on use, so that --help does not wait for JAX.
    if name not in _HOMES:
        raise AttributeError(f"module 'vqe_jax.evaluation' has no attribute {name!r}")
    return getattr(importlib.import_module(f"vqe_jax.evaluation.{_HOMES[name]}"), name)
