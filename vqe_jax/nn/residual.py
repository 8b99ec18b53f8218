"""Residual blocks without normalisation, and the trunks that BasicVSR and EDVR make of them."""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.nn.gates import SpatialGate
from vqe_jax.nn.initializers import kaiming_normal
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.ops.shuffle import pixel_shuffle

__all__ = ["ResidualBlock", "ResidualBlocks", "ResidualTrunk", "Upsample"]

Maps = Float[Array, "b h w c"]


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``; starts near the identity."""

    features: int  # channels, the same in and out
    scale: float = 0.1  # of the initial kernels
    negative_slope: float = 0.0  # of the activation
    gated: bool = False  # weigh the residual place by place

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        init = kaiming_normal(self.scale)
        zeros = nn.initializers.zeros
        y = Conv(self.features, kernel_init=init, bias_init=zeros, name="conv1")(x)
        y = nn.leaky_relu(y, self.negative_slope) if self.negative_slope else nn.relu(y)
        y = Conv(self.features, kernel_init=init, bias_init=zeros, name="conv2")(y)
        return x + (SpatialGate(name="gate")(y) if self.gated else y)


class ResidualBlocks(nn.Module):
    """Residual blocks one after the other."""

    features: int
    blocks: int  # how many
    negative_slope: float = 0.0  # of the activation inside
    gated: bool = False  # weigh each residual place by place

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        for k in range(self.blocks):
            block = ResidualBlock(
                self.features,
                negative_slope=self.negative_slope,
                gated=self.gated,
                name=f"block{k}",
            )
            x = block(x)
        return x


class ResidualTrunk(nn.Module):
    """A convolution to the trunk's width, a leaky ReLU, and residual blocks."""

    features: int
    blocks: int  # how many

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"]) -> Maps:
        """Maps any number of channels to features."""
        x = leaky_relu(Conv(self.features, name="conv")(x))
        return ResidualBlocks(self.features, self.blocks, name="blocks")(x)


class Upsample(nn.Module):
    """Doubles height and width: a convolution to four times the channels and a pixel shuffle."""

    features: int  # output channels

    @nn.compact
    def __call__(self, x: Maps) -> Float[Array, "b h2 w2 f"]:
        """Upsamples by 2."""
        init = kaiming_normal()
        zeros = nn.initializers.zeros
        x = Conv(4 * self.features, kernel_init=init, bias_init=zeros, name="conv")(x)
        return pixel_shuffle(x, 2)
