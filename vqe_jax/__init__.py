"""vqe_jax: enhancement of compressed video in JAX/Flax.

``enhance`` takes a clip in memory, ``enhance_video`` a file; the rest is found in the packages
named after what they hold (``models``, ``training``, ``video``, ...).
"""

from __future__ import annotations

from typing import Any

__all__ = ["__version__", "enhance", "enhance_video"]

__version__ = "0.1.0"

_LAZY = {
    "enhance": "vqe_jax.inference.clip",
    "enhance_video": "vqe_jax.inference.file",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def __getattr__(name: str) -> Any:
    # Imported on use, so that `import vqe_jax` stays quick and touches no device.
    if name not in _LAZY:
        raise AttributeError(f"module 'vqe_jax' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
