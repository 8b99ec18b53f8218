"""MPRNet's blocks: encoder and decoder of channel attention, supervised attention between stages.

Zamir et al., "Multi-Stage Progressive Image Restoration", CVPR 2021. No convolution has a bias; all
blocks share one activation, which the network that is made of them hands in.
"""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.nn.channel_attention import RCAB, Activation
from vqe_jax.nn.layers import Conv
from vqe_jax.ops.resample import resize_bilinear

__all__ = ["LEVELS", "Decoder", "Encoder", "SupervisedAttention", "channel_attention_block", "rise"]

Maps = Float[Array, "b h w c"]
# Of full, half and quarter size; each coarser one is wider.
Levels = list[Array]

LEVELS = 3
_BLOCKS = 2  # a level


def channel_attention_block(width: int, reduction: int, activation: Activation, name: str) -> RCAB:
    """A block of residual channel attention without biases."""
    return RCAB(width // reduction, activation, use_bias=False, name=name)


def bare(width: int, name: str) -> Conv:
    """A 1x1 convolution without a bias."""
    return Conv(width, 1, use_bias=False, name=name)


def rise(x: Maps, width: int, name: str) -> Float[Array, "b h2 w2 d"]:
    """Twice the size, another width; call it within a compact method."""
    return bare(width, name)(resize_bilinear(x, (2 * x.shape[1], 2 * x.shape[2])))


class Encoder(nn.Module):
    """Three levels on the way down (sec. 3.1); sides are multiples of 4."""

    features: int  # at full size
    more: int  # features a level
    reduction: int
    activation: Activation

    @nn.compact
    def __call__(self, x: Maps, earlier: tuple[Levels, Levels] | None = None) -> Levels:
        """Features of each level.

        Args:
          earlier: what the encoder and the decoder of the stage before gave, to be added
            (cross-stage feature fusion, sec. 3.3).
        """
        levels = []
        for level in range(LEVELS):
            width = self.features + level * self.more
            if level:
                half = resize_bilinear(x, (x.shape[1] // 2, x.shape[2] // 2))
                x = bare(width, f"down{level}")(half)
            for k in range(_BLOCKS):
                name = f"level{level}_{k}"
                x = channel_attention_block(width, self.reduction, self.activation, name)(x)
            if earlier is not None:
                x = x + bare(width, f"from_encoder{level}")(earlier[0][level])
                x = x + bare(width, f"from_decoder{level}")(earlier[1][level])
            levels.append(x)
        return levels


class Decoder(nn.Module):
    """The way up; what the encoder gave is added after a block of attention."""

    features: int
    more: int
    reduction: int
    activation: Activation

    @nn.compact
    def __call__(self, levels: Levels) -> Levels:
        """Features of each level, the first at full size."""
        x = levels[-1]
        found = []
        for level in reversed(range(LEVELS)):
            width = self.features + level * self.more
            if level < LEVELS - 1:
                skip = self._block(width, f"skip{level}")(levels[level])
                x = rise(x, width, f"up{level}") + skip
            for k in range(_BLOCKS):
                x = self._block(width, f"level{level}_{k}")(x)
            found.append(x)
        return found[::-1]

    def _block(self, width: int, name: str) -> RCAB:
        return channel_attention_block(width, self.reduction, self.activation, name)


class SupervisedAttention(nn.Module):
    """A picture from features, and the features weighed by that picture (sec. 3.2)."""

    @nn.compact
    def __call__(self, x: Maps, frame: Float[Array, "b h w 3"]) -> tuple[Maps, Array]:
        """Features for the next stage, and this stage's picture."""
        picture = frame + bare(frame.shape[-1], "picture")(x)
        weights = nn.sigmoid(bare(x.shape[-1], "weights")(picture))
        return x + bare(x.shape[-1], "features")(x) * weights, picture
