"""Residual in residual dense blocks, and the generator of ESRGAN without its enlargement.

Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCVW 2018,
Fig. 4.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.initializers import kaiming_normal
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.remat import recomputed

__all__ = ["RRDB", "DenseBlock", "RRDBTrunk"]

Maps = Float[Array, "n h w f"]

_SCALE = 0.2  # of what a block adds
_CONVS = 5  # of a dense block
_DENSE_BLOCKS = 3  # of a residual in residual block


def _activation(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    return nn.leaky_relu(x, 0.2)


class DenseBlock(nn.Module):
    """Five convolutions, each on all that came before it; a fifth of their result is added."""

    growth: int = 32  # channels of each convolution but the last

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        init, zeros = kaiming_normal(0.1), nn.initializers.zeros
        parts = [x]
        for k in range(1, _CONVS + 1):
            width = self.growth if k < _CONVS else x.shape[-1]
            conv = Conv(width, kernel_init=init, bias_init=zeros, name=f"conv{k}")
            y = conv(jnp.concatenate(parts, axis=-1))
            parts.append(_activation(y))
        return x + _SCALE * y


class RRDB(nn.Module):
    """Three dense blocks; a fifth of their result is added."""

    growth: int = 32

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        y = x
        for k in range(_DENSE_BLOCKS):
            y = DenseBlock(self.growth, name=f"dense{k}")(y)
        return x + _SCALE * y


class RRDBTrunk(nn.Module):
    """From a picture to a picture of the same size: ESRGAN's network without its upsampling."""

    channels: int = 3  # of the result
    features: int = 64
    growth: int = 32
    blocks: int = 23
    remat: bool | None = False  # recompute each block in the backward pass

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w d"]:
        """What the last convolution gives; nothing is added."""
        wrap = recomputed(self.remat)
        first = y = Conv(self.features, name="conv_first")(x)
        for k in range(self.blocks):
            y = wrap(RRDB)(self.growth, name=f"block{k}")(y)
        y = first + Conv(self.features, name="conv_body")(y)
        return Conv(self.channels, name="conv_last")(
            _activation(Conv(self.features, name="conv_hr")(y))
        )
