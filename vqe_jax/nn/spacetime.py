"""3-D convolutions that stride in space alone.

A 3-D convolution is a 2-D one over each frame with its neighbors as channels: the same products
and the same number of parameters, by way of convolutions that are fast everywhere.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.layers import Conv, ConvTranspose

__all__ = ["SpaceTimeConv", "SpaceTimeConvTranspose", "beside_neighbors"]

Clip = Float[Array, "b t h w c"]


def beside_neighbors(x: Clip, taps: int) -> Float[Array, "b t h w s"]:
    """Each frame between its neighbors, along the channels in the order of time.

    Args:
      taps: how many frames, odd; those beyond the ends are zero.

    Example:
      >>> x = jnp.arange(1.0, 4.0).reshape(1, 3, 1, 1, 1)
      >>> beside_neighbors(x, 3)[0, :, 0, 0].tolist()
      [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 0.0]]
    """
    reach, length = taps // 2, x.shape[1]
    wide = jnp.pad(x, [(0, 0), (reach, reach), *[(0, 0)] * 3])
    return jnp.concatenate([wide[:, i : i + length] for i in range(taps)], axis=-1)


class SpaceTimeConv(nn.Module):
    """A 3-D convolution; zeros beyond the borders and the ends."""

    features: int
    kernel_size: int = 3  # in space, odd
    taps: int = 3  # in time, odd
    stride: int = 1  # in space

    @nn.compact
    def __call__(self, x: Clip) -> Float[Array, "b t h2 w2 f"]:
        """Convolves."""
        size = self.kernel_size
        conv = Conv(self.features, size, self.stride, padding=size // 2, name="conv")
        return conv(beside_neighbors(x, self.taps))


class SpaceTimeConvTranspose(nn.Module):
    """A transposed 3-D convolution that doubles height and width."""

    features: int
    taps: int = 3  # in time, odd

    @nn.compact
    def __call__(self, x: Clip) -> Float[Array, "b t h2 w2 f"]:
        """Convolves by a kernel of 4x4 in space."""
        return ConvTranspose(self.features, name="conv")(beside_neighbors(x, self.taps))
