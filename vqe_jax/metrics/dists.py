"""DISTS of frames, with the two sizes at which it is reported.

The authors' program shrinks pictures to 256 pixels on their short side before it compares them;
their package on PyPI does not. Values differ several times over, so the size is an argument, and a
table says which it used.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vqe_jax.metrics.frames import applied_in_chunks, in_chunks
from vqe_jax.metrics.psnr import quantize
from vqe_jax.perceptual import DISTS, check_pair
from vqe_jax.perceptual.dists import DISTS_MIN_SIDE
from vqe_jax.perceptual.images import Images

__all__ = ["dists", "shrink"]


@functools.partial(jax.jit, static_argnames="short_side")
def shrink(frames: Float[Array, "*b h w c"], *, short_side: int) -> Float[Array, "*b h2 w2 c"]:
    """Brings the short side down to a length, bilinearly and without aliasing, as Pillow does.

    Args:
      frames: values in [0, 1].
      short_side: pixels; frames that are not larger stay as they are.

    Returns:
      Values rounded to 8 bits, since Pillow works on these.
    """
    height, width = frames.shape[-3:-1]
    least = min(height, width)
    if least <= short_side:
        return frames
    size = tuple(short_side * n // least for n in (height, width))
    shape = (*frames.shape[:-3], *size, frames.shape[-1])
    return quantize(jax.image.resize(frames, shape, "linear", antialias=True))


def dists(
    result: Images,
    reference: Images,
    *,
    variables: Mapping[str, Any],
    resize: int | None = None,
    dtype: str = "float32",
    chunk: int | None = None,
    divisor: int = 1,
) -> Float[np.ndarray, "*b"]:
    """The DISTS distance of each frame; smaller is better, 0 for identical frames.

    Args:
      result: frames ``[..., h, w, c]`` in [0, 1], RGB or luma (copied to three channels).
      variables: ``load_perceptual("dists").variables`` of :mod:`vqe_jax.weights`.
      resize: 256 shrinks the short side to 256 pixels first, as the authors' program does;
        None compares frames as they are.
      chunk: frames judged at a time; None takes about two million pixels.
      divisor: every width is divided by it; above 1 in tests only.

    Raises:
      UserError: integers or values outside [0, 1] (says which conversion), frames too small.
    """
    check_pair(
        result, reference, names=("result", "reference"), min_side=DISTS_MIN_SIDE, reader="DISTS"
    )
    pair: list[Any] = [result, reference]
    if resize is not None:
        small = functools.partial(shrink, short_side=resize)
        pair = [in_chunks(small, np.asarray(x, np.float32), chunk=chunk) for x in pair]
    module = DISTS(dtype=jnp.dtype(dtype), divisor=divisor)
    return applied_in_chunks(module, variables, *pair, chunk=chunk)
