"""Transposed convolution, in the form that the device is fast at."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

__all__ = ["conv_transpose"]

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv_transpose(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "k k i o"],
    stride: int,
    padding: int,
    *,
    in_phases: bool | None = None,
) -> Float[Array, "b h2 w2 o"]:
    """Grows maps to ``(n - 1) * stride - 2 * padding + k``.

    Args:
      kernel: that of the equal convolution over the input dilated by the stride.
      stride: zeros between the pixels of the dilated input, and one.
      padding: pixels cut off on every side of the whole result, as PyTorch counts.
      in_phases: compute each of the ``stride**2`` interleaved results by a small kernel, all in
        one convolution, where ``k == 2 * stride == 4 * padding``. None: on the CPU, where XLA's
        gradient of the kernel is tens of times slower with dilated inputs.
    """
    size = kernel.shape[0]
    if in_phases is None:
        in_phases = jax.default_backend() == "cpu"
    if in_phases and size == 2 * stride == 4 * padding:
        return _in_phases(x, kernel, stride)
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        [(size - 1 - padding,) * 2] * 2,
        lhs_dilation=(stride, stride),
        dimension_numbers=_DIMENSIONS,
    )


def _in_phases(
    x: Float[Array, "b h w i"], kernel: Float[Array, "k k i o"], stride: int
) -> Float[Array, "b h2 w2 o"]:
    """Every output pixel sees 2x2 pixels, those beginning before or at its own.

    An output pixel at ``stride * y + phase`` meets tap ``t`` at input row ``y + j`` where
    ``stride * j == phase + t - (k - 1 - padding)``; the first such ``j`` is -1 or 0.
    """
    b, h, w, _ = x.shape
    out = kernel.shape[-1]
    offset = 2 * stride - 1 - stride // 2
    phases = np.arange(stride)
    begins = -((offset - phases) // stride)  # j of the first of both taps
    taps = stride * (begins + np.arange(2)[:, None]) - phases + offset  # [j, phase]
    split = kernel[taps[:, None, :, None], taps[None, :, None, :]]  # [jy, jx, phase y, x, i, o]
    wide = split.transpose(0, 1, 4, 2, 3, 5).reshape(2, 2, -1, stride * stride * out)
    # Row r of the result begins at input row r - 1. Padding within the convolution would bring the
    # slow code for the kernel's gradient back.
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    found = lax.conv_general_dilated(padded, wide, (1, 1), "VALID", dimension_numbers=_DIMENSIONS)
    found = found.reshape(b, h + 1, w + 1, stride, stride, out)
    starts = begins + 1
    rows = [
        jnp.stack([found[:, r : r + h, c : c + w, p, q] for q, c in enumerate(starts)], axis=3)
        for p, r in enumerate(starts)
    ]
    return jnp.stack(rows, axis=2).reshape(b, h * stride, w * stride, out)
