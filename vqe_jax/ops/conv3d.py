"""3-D convolution over time, height and width, in the form that the device is fast at."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

__all__ = ["conv3d", "flat_kernel"]

_FLAT = ("NHWC", "HWIO", "NHWC")
_DEEP = ("NDHWC", "DHWIO", "NDHWC")


def conv3d(
    x: Float[Array, "b t h w i"], kernel: Float[Array, "k k k i o"], *, flat: bool | None = None
) -> Float[Array, "b t h w o"]:
    """Convolves and keeps all sizes; zeros outside.

    Args:
      kernel: of an odd side.
      flat: as a 2-D convolution of each frame with its neighbors as channels, the same sums in
        another order. None: on the CPU, where XLA's own 3-D convolution takes four times as long,
        and its gradients four to eight times.
    """
    size = kernel.shape[0]
    reach = (size // 2, size // 2)
    if flat is None:
        flat = jax.default_backend() == "cpu"
    if not flat:
        return lax.conv_general_dilated(x, kernel, (1, 1, 1), [reach] * 3, dimension_numbers=_DEEP)
    b, t, h, w, _ = x.shape
    wide = jnp.pad(x, [(0, 0), reach, *[(0, 0)] * 3])
    beside = jnp.concatenate([wide[:, k : k + t] for k in range(size)], axis=-1)
    y = lax.conv_general_dilated(
        beside.reshape(b * t, h, w, -1),
        flat_kernel(kernel),
        (1, 1),
        [reach] * 2,
        dimension_numbers=_FLAT,
    )
    return y.reshape(b, t, h, w, -1)


@jax.jit  # known by its name in traced programs
def flat_kernel(kernel: Float[Array, "k k k i o"]) -> Float[Array, "k k c o"]:
    """The kernel over frames side by side: all channels of the first frame, then of the next."""
    size, *_, outside = kernel.shape
    return kernel.transpose(1, 2, 0, 3, 4).reshape(size, size, -1, outside)
