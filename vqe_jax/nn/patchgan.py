"""The patch discriminator of PeQuENet and DCNGAN, with its feature maps.

Every value of its output judges a patch of 94 x 94 pixels. It sees one luma frame and nothing
else: neither the compressed input nor the QP.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.nn.batch_norm import BatchNorm
from vqe_jax.nn.layers import Conv

__all__ = ["Discriminator", "PatchDiscriminator"]

_STRIDED = 4  # convolutions of stride two
_MIN_SIDE = 64  # smaller frames leave nothing for the last 4x4 convolution


class Discriminator(nn.Module):
    """What discriminators share: a subclass scores frames, and gives its activations too."""

    negative_slope: float = 0.2  # of the leaky ReLUs
    channels: int = 3  # of the frames it judges: 1 luma, 3 RGB

    def leaky(self, x: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Leaky ReLU whose gradient at exactly zero is the slope, as PyTorch's; jax.nn's is one."""
        return jnp.where(x > 0, x, self.negative_slope * x)

    def layer(
        self, conv: Conv, x: Float[Array, "b h w i"], norm: str | None, *, train: bool
    ) -> Float[Array, "b h2 w2 f"]:
        """A convolution, batch normalization where it has a name, the activation."""
        x = conv(x)
        return self.leaky(x if norm is None else BatchNorm(name=norm)(x, train=train))


class PatchDiscriminator(Discriminator):
    """Four strided 4x4 convolutions, then one to a map of scores without a sigmoid.

    Example:
      >>> import jax
      >>> frames = jax.numpy.zeros((1, 128, 128, 1))
      >>> (scores, maps), _ = PatchDiscriminator(features=4).init_with_output(
      ...     jax.random.key(0), frames, train=False)
      >>> scores.shape, [m.shape[-1] for m in maps]
      ((1, 5, 5, 1), [4, 8, 16, 32])
    """

    features: int = 32  # channels after the first convolution; they double three times
    channels: int = 1

    @nn.compact
    def __call__(
        self, frames: Float[Array, "b h w c"], *, train: bool = False
    ) -> tuple[Float[Array, "b h2 w2 1"], tuple[Float[Array, "b _ _ _"], ...]]:
        """Scores frames.

        Args:
          frames: pixels in [0, 1]; sides of 64 pixels or more.
          train: normalise by the statistics of this call (and move the running ones where the
            collection ``batch_stats`` is mutable).

        Returns:
          The score of each patch, and the four activations before it, largest map first.

        Raises:
          UserError: frames too small, or of another number of channels.
        """
        height, width, channels = frames.shape[1:]
        if min(height, width) < _MIN_SIDE:
            raise UserError(
                f"crop: the discriminator got frames of {width}x{height}, expected {_MIN_SIDE} "
                "pixels or more on each side; train on larger crops"
            )
        if channels != self.channels:
            raise UserError(
                f"discriminator.channels is {self.channels} but the frames have {channels}"
            )
        normal, zeros = nn.initializers.normal(0.02), nn.initializers.zeros
        x, maps = frames, []
        for i in range(_STRIDED):
            width_out = self.features * 2**i
            conv = Conv(
                width_out, 4, 2, padding=1, kernel_init=normal, bias_init=zeros, name=f"conv{i + 1}"
            )
            x = self.layer(conv, x, f"norm{i + 1}" if i else None, train=train)
            maps.append(x)
        score = Conv(1, 4, padding=0, kernel_init=normal, bias_init=zeros, name="score")(x)
        return score, tuple(maps)
