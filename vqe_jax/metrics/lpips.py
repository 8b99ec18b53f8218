"""LPIPS of frames: v0.1, full frames, one distance each; a video's value is the mean.

The literature reports ``net="alex"``, as the authors advise for judging; ``"vgg"`` is what
networks are mostly trained with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from vqe_jax.metrics.frames import applied_in_chunks
from vqe_jax.perceptual import LPIPS, LPIPS_NETS, check_pair
from vqe_jax.perceptual.images import Images

__all__ = ["lpips"]


def lpips(
    result: Images,
    reference: Images,
    *,
    variables: Mapping[str, Any],
    net: str = "alex",
    dtype: str = "float32",
    chunk: int | None = None,
    divisor: int = 1,
) -> Float[np.ndarray, "*b"]:
    """The LPIPS distance of each frame; smaller is better, 0 for identical frames.

    Args:
      result: frames ``[..., h, w, c]`` in [0, 1], RGB or luma (copied to three channels).
      variables: ``load_perceptual("lpips_alex").variables`` of :mod:`vqe_jax.weights`.
      net: ``"alex"``, ``"vgg"`` or ``"squeeze"``.
      dtype: of the convolutions; ``"bfloat16"`` changes values by less than 1 %.
      chunk: frames judged at a time; None takes about two million pixels.
      divisor: every width is divided by it; above 1 in tests only.

    Raises:
      UserError: integers or values outside [0, 1] (says which conversion), frames too small.
    """
    least = LPIPS_NETS[net].min_side if net in LPIPS_NETS else 1  # the module refuses the rest
    check_pair(
        result, reference, names=("result", "reference"), min_side=least, reader=f"LPIPS ({net})"
    )
    module = LPIPS(net=net, dtype=jnp.dtype(dtype), divisor=divisor)
    return applied_in_chunks(module, variables, result, reference, chunk=chunk)
