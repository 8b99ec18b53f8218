"""The discriminator of the Shannon team (NTIRE 2021, sec. 4.6), which sees high frequencies alone.

Widths and order of its layers are those of the released code; it judges patches, of frames of 64
pixels a map of 4x4.
"""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.patchgan import Discriminator
from vqe_jax.ops.filters import high_pass

__all__ = ["HighPassDiscriminator"]

_MULTIPLE = 16
_WIDEST = 8  # times the first width
_SCORE_WIDTHS = (64, 16)


class HighPassDiscriminator(Discriminator):
    """Pairs of convolutions, the second of each strided, then a head of 1x1 convolutions.

    Example:
      >>> import jax
      >>> frames = jax.numpy.zeros((1, 64, 64, 3))
      >>> (scores, maps), _ = HighPassDiscriminator(features=4).init_with_output(
      ...     jax.random.key(0), frames, train=False)
      >>> scores.shape, len(maps)
      ((1, 4, 4, 1), 5)
    """

    features: int = 64  # channels at first; they double three times
    halvings: int = 4

    @nn.compact
    def __call__(
        self, frames: Float[Array, "b h w c"], *, train: bool = False
    ) -> tuple[Float[Array, "b h2 w2 1"], tuple[Float[Array, "b _ _ _"], ...]]:
        """Scores frames.

        Args:
          frames: pixels in [0, 1]; sides that divide by 16.

        Returns:
          The score of each patch, and the activations after each pair, largest map first.

        Raises:
          UserError: frames of another size.
        """
        height, width = frames.shape[1:3]
        if height % _MULTIPLE or width % _MULTIPLE:
            raise UserError(
                f"crop: the discriminator got frames of {width}x{height}, expected sides that "
                f"divide by {_MULTIPLE}"
            )
        x, maps = high_pass(frames), []
        for pair in range(self.halvings + 1):
            wide = self.features * min(2**pair, _WIDEST)
            first = self._conv(f"conv{pair}_0", wide, normal=pair > 0)
            x = self.layer(first, x, f"norm{pair}_0" if pair else None, train=train)
            second = self._conv(f"conv{pair}_1", wide, strided=pair < self.halvings)
            x = self.layer(second, x, f"norm{pair}_1", train=train)
            maps.append(x)
        for k, wide in enumerate(_SCORE_WIDTHS):
            x = self.leaky(Conv(wide, 1, name=f"score{k}")(x))
        return Conv(1, 1, name=f"score{len(_SCORE_WIDTHS)}")(x), tuple(maps)

    def _conv(
        self, name: str, features: int, *, normal: bool = True, strided: bool = False
    ) -> Conv:
        size, stride, padding = (4, 2, 1) if strided else (3, 1, 1)
        return Conv(features, size, stride, padding=padding, use_bias=not normal, name=name)
