"""2-D convolution, in the form that the device is fast at."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from jax import lax
from jaxtyping import Array, Float

__all__ = ["conv2d"]

_DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def conv2d(
    x: Float[Array, "b h w i"],
    kernel: Float[Array, "kh kw i2 o"],
    stride: int = 1,
    padding: Sequence[int] = (0, 0),
    *,
    dilation: int = 1,
    groups: int = 1,
    spare_row: bool | None = None,
) -> Float[Array, "b h2 w2 o"]:
    """Convolves.

    Args:
      padding: zeros above and below, and left and right.
      spare_row: where nothing is padded at stride 1, compute one row more over zeros and drop it;
        the others are the same sums. None: on the CPU, where XLA's convolution takes up to tens of
        times as long without any padding (benchmarks/README.md, "Forms on the CPU").
    """
    if spare_row is None:
        spare_row = jax.default_backend() == "cpu"
    rows, columns = padding
    spare = spare_row and not (rows or columns) and stride == 1 and max(kernel.shape[:2]) > 1
    y = lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        [(rows, rows + spare), (columns, columns)],
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_DIMENSIONS,
        feature_group_count=groups,
    )
    return y[:, :-1] if spare else y
