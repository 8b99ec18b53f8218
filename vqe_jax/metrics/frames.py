"""Running a metric over many frames in bounded memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Shaped

__all__ = ["applied_in_chunks", "in_chunks"]

_PIXELS = 1 << 21


def in_chunks(
    distance: Callable[..., Any],
    *clips: Shaped[jax.Array | np.ndarray, "*b h w c"],
    chunk: int | None = None,
) -> np.ndarray:
    """Applies a function to some frames at a time.

    The last chunk is filled up by repeating its last frame, so that one compilation serves all.

    Args:
      distance: takes arrays ``[chunk, h, w, c]`` and returns ``[chunk, ...]``.
      *clips: ``[..., h, w, c]``, equal in their leading axes.
      chunk: frames at a time; None takes about two million pixels, one frame of 1080p.

    Returns:
      The results, with the leading axes of the clips.
    """
    lead = clips[0].shape[:-3]
    flat = [c.reshape(-1, *c.shape[-3:]) for c in clips]
    count = len(flat[0])
    if chunk is None:
        chunk = _PIXELS // (flat[0].shape[1] * flat[0].shape[2])
    chunk = max(1, min(chunk, count))
    results = []
    for start in range(0, count, chunk):
        kept = min(chunk, count - start)
        pieces = [c[start : start + chunk] for c in flat]
        if kept < chunk:
            rows = np.minimum(np.arange(chunk), kept - 1)
            pieces = [p[rows] for p in pieces]
        # On an accelerator, the default precision of products would cost three digits.
        with jax.default_matmul_precision("float32"):
            results.append(np.asarray(distance(*pieces))[:kept])
    joined = np.concatenate(results)
    return joined.reshape((*lead, *joined.shape[1:]))


def applied_in_chunks(
    module: nn.Module,
    variables: Mapping[str, Any],
    *clips: Shaped[jax.Array | np.ndarray, "*b h w c"],
    chunk: int | None = None,
) -> np.ndarray:
    """Applies a module to some frames at a time; it is compiled once for all of them."""
    return in_chunks(functools.partial(_applied, module, variables), *clips, chunk=chunk)


@functools.partial(jax.jit, static_argnums=0)
def _applied(module: nn.Module, variables: Mapping[str, Any], *frames: jax.Array) -> Any:
    return module.apply(variables, *frames)
