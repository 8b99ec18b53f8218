"""Enhancing a clip that is already in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Array, Float, Num

from vqe_jax.errors import UserError
from vqe_jax.inference.resolve import Model, resolve
from vqe_jax.inference.stream import enhance_frames
from vqe_jax.models import Side
from vqe_jax.weights import DEFAULT_MODEL

__all__ = ["enhance"]

# Typed loosely: a wrong dtype or rank is a user's mistake that gets a sentence.
Clip = Num[np.ndarray, "..."] | Num[Array, "..."]


def enhance(
    clip: Clip,
    *,
    model: Model = DEFAULT_MODEL,
    qp: int | None = None,
    side: Side | None = None,
    **options: Any,
) -> Float[np.ndarray, "*b t h2 w2 c"]:
    """Enhances a clip, or several of one size.

    Args:
      clip: compressed frames ``[t, h, w, c]`` or ``[b, t, h, w, c]``, float in [0, 1]; as many
        channels as the model takes (1 for luma).
      model: a packaged name, a path to a model file, a loaded one, or ``(module, variables)``.
      qp: quantization parameter, for networks conditioned on it.
      side: what is known of the clip's frames, arrays with a batch axis, for networks that need it.
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
    network = ready.network
    if clip.shape[-1] != network.channels:
        raise UserError(
            f"clip has {clip.shape[-1]} channels, the model takes {network.channels} "
            f"({network.color})"
        )
    if np.ndim(clip) == 5:
        parts = [None if side is None else side.clip(i) for i in range(len(clip))]
        each = zip(clip, parts, strict=True)
        return np.stack([enhance(c, model=ready, qp=qp, side=s, **options) for c, s in each])
    infos = None if side is None else side.infos(len(clip))
    if side is not None and side.qp is not None and qp is None:
        qp = int(np.asarray(side.qp)[0])
    frames = enhance_frames(ready, clip, qp=qp, infos=infos, **options)
    count, height, width, _ = clip.shape
    scale = network.context.scale
    result = np.empty((count, height * scale, width * scale, clip.shape[-1]), np.float32)
    for i, frame in enumerate(frames):
        np.clip(frame, 0, 1, out=result[i])
    return result
