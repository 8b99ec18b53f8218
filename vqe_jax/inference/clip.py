"""Enhancing a clip that is already in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Array, Float, Num

from vqe_jax.errors import UserError
from vqe_jax.inference.resolve import Model, resolve
from vqe_jax.inference.stream import enhance_frames

__all__ = ["enhance"]

# Typed loosely: a wrong dtype or rank is a user's mistake that gets a sentence.
Clip = Num[np.ndarray, "..."] | Num[Array, "..."]


def enhance(
    clip: Clip,
    *,
    model: Model = "vig_qp37",
    qp: int | None = None,
    **options: Any,
) -> Float[np.ndarray, "*b t h2 w2 c"]:
    """Enhances a clip, or several of one size.

    Args:
      clip: compressed frames ``[t, h, w, c]`` or ``[b, t, h, w, c]``, float in [0, 1]; as many
        channels as the model takes (1 for luma).
      model: a packaged name, a path to a model file, a loaded one, or ``(module, variables)``.
      qp: quantisation parameter, for networks conditioned on it.
      **options: those of :func:`vqe_jax.inference.stream.enhance_frames`.

    Returns:
      float32 frames of the same shape (sides times the network's ``scale``), clipped to [0, 1].

    Raises:
      UserError: integer frames (says how to convert), another rank, another number of channels
        than the model's, an unknown model.
    """
    if np.ndim(clip) not in (4, 5):
        raise UserError(
            f"clip has shape {np.shape(clip)}, expected [t, h, w, c] or [b, t, h, w, c]"
        )
    ready = resolve(model)
    channels = getattr(ready.network, "channels", None)
    if channels is not None and clip.shape[-1] != channels:
        raise UserError(
            f"clip has {clip.shape[-1]} channels, the model takes {channels} "
            f"({'luma' if channels == 1 else 'RGB'})"
        )
    if np.ndim(clip) == 5:
        return np.stack([enhance(c, model=ready, qp=qp, **options) for c in clip])
    frames = enhance_frames(ready, clip, qp=qp, **options)
    count, height, width, _ = clip.shape
    scale = ready.network.context.scale
    result = np.empty((count, height * scale, width * scale, clip.shape[-1]), np.float32)
    for i, frame in enumerate(frames):
        np.clip(frame, 0, 1, out=result[i])
    return result
