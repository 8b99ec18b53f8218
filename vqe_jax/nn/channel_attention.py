"""Residual channel attention: the blocks of RCAN that other systems are built from.

Zhang et al., "Image Super-Resolution Using Very Deep Residual Channel Attention Networks", ECCV
2018.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.initializers import Init
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.remat import recomputed

__all__ = ["RCAB", "ChannelAttention", "ResidualGroup", "ResidualGroups"]

Maps = Float[Array, "b h w c"]
Activation = Callable[[jax.Array], jax.Array]


class ChannelAttention(nn.Module):
    """Multiplies each channel by a gate that the means of all channels decide (sec. 3.3)."""

    hidden: int  # channels between the two convolutions
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Gates the features."""
        mean = jnp.mean(x, axis=(1, 2), keepdims=True)
        hidden = nn.relu(Conv(self.hidden, 1, use_bias=self.use_bias, name="squeeze")(mean))
        excite = Conv(x.shape[-1], 1, use_bias=self.use_bias, name="excite")
        return x * nn.sigmoid(excite(hidden))


class RCAB(nn.Module):
    """Residual channel attention block: ``x + gate(conv(act(conv(x))))`` (sec. 3.4)."""

    hidden: int  # channels of the gate's bottleneck
    activation: Activation = nn.relu
    kernel_init: Init | None = None  # of its 3x3 convolutions; None: PyTorch's default
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        conv1, conv2 = (
            Conv(x.shape[-1], use_bias=self.use_bias, kernel_init=self.kernel_init, name=name)
            for name in ("conv1", "conv2")
        )
        y = conv2(self.activation(conv1(x)))
        return x + ChannelAttention(self.hidden, self.use_bias, name="attention")(y)


class ResidualGroup(nn.Module):
    """Blocks, a convolution and a skip around both (sec. 3.2)."""

    blocks: int  # how many
    hidden: int  # channels of the gates' bottlenecks

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        y = x
        for k in range(self.blocks):
            y = RCAB(self.hidden, name=f"block{k}")(y)
        return x + Conv(x.shape[-1], name="conv")(y)


class ResidualGroups(nn.Module):
    """Groups, a convolution and a long skip: the body of RCAN (residual in residual, sec. 3.2)."""

    groups: int  # how many
    blocks: int  # in a group
    hidden: int  # channels of the gates' bottlenecks
    remat: bool | None = None  # recompute each group in the backward pass; None: as memory asks

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        y, group = x, recomputed(self.remat)(ResidualGroup)
        for k in range(self.groups):
            y = group(self.blocks, self.hidden, name=f"group{k}")(y)
        return x + Conv(x.shape[-1], name="conv")(y)
