"""A discriminator that looks at a clip at several scales.

After MGBP-3D's (NTIRE 2021, section 4.10, Fig. 10 "multiscale discriminator"): each scale of the
clip enters the one pyramid of features beside what has come down from the finer ones.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.nn.spacetime import SpaceTimeConv
from vqe_jax.ops.pool import average_pool

__all__ = ["MultiScaleDiscriminator"]


class MultiScaleDiscriminator(nn.Module):
    """Scores of places of a clip, without a sigmoid; no normalization, so batches do not matter.

    Example:
      >>> import jax
      >>> clip = jax.numpy.zeros((1, 3, 32, 32, 1))
      >>> (scores, maps), _ = MultiScaleDiscriminator(features=4).init_with_output(
      ...     jax.random.key(0), clip)
      >>> scores.shape, [m.shape[-1] for m in maps]
      ((1, 3, 4, 4, 1), [8, 16, 32])
    """

    features: int = 32  # channels at full size; they double at each scale
    scales: int = 3
    taps: int = 3  # frames that a convolution sees; 1: every frame is judged alone
    negative_slope: float = 0.2  # of the leaky ReLUs
    channels: int = 1  # of the clips: 1 luma, 3 RGB
    sees_clips = True

    @nn.compact
    def __call__(
        self, clip: Float[Array, "b t h w c"], *, train: bool = False
    ) -> tuple[Float[Array, "b t h2 w2 1"], tuple[Float[Array, "b t _ _ _"], ...]]:
        """Scores a clip.

        Args:
          clip: pixels in [0, 1]; sides are multiples of two to the number of scales.

        Returns:
          The scores, and the features of each scale, largest map first.

        Raises:
          UserError: sides that cannot be halved so often, or another number of channels.
        """
        height, width, channels = clip.shape[2:]
        if height % 2**self.scales or width % 2**self.scales:
            raise UserError(
                f"crop: the discriminator halves its clips {self.scales} times and got "
                f"{width}x{height}; use multiples of {2**self.scales} pixels"
            )
        if channels != self.channels:
            raise UserError(
                f"discriminator.channels is {self.channels} but the clips have {channels}"
            )
        maps: list[Array] = []
        for k in range(self.scales):
            seen = self._conv(f"analysis{k}", clip, self.features * 2**k)
            both = jnp.concatenate([maps[-1], seen], axis=-1) if maps else seen
            maps.append(self._conv(f"down{k}", both, self.features * 2 ** (k + 1), stride=2))
            clip = average_pool(clip, 2, stride=2)
        score = SpaceTimeConv(1, taps=self.taps, name="score")(maps[-1])
        return score, tuple(maps)

    def _conv(self, name: str, x: Array, width: int, stride: int = 1) -> Array:
        x = SpaceTimeConv(width, taps=self.taps, stride=stride, name=name)(x)
        return nn.leaky_relu(x, self.negative_slope)
