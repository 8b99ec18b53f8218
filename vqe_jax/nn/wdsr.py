"""Wide activation blocks with channel attention and learned weights of their two paths."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.nn.channel_attention import ChannelAttention
from vqe_jax.nn.layers import Conv

__all__ = ["AdaWDSRBlock", "Attended"]

Maps = Float[Array, "n h w f"]
# What channel attention gates: the convolutions' result, or the block's.
Attended = Literal["branch", "sum"]

_ALPHA, _BETA = 1.0, 0.2


class AdaWDSRBlock(nn.Module):
    """``alpha * x + beta * gate(conv(relu(conv(x))))``, many channels before the activation.

    WDSR-A is that of Yu et al., "Wide Activation for Efficient and Accurate Image
    Super-Resolution", 2018; the adaptive one is that of the BILIBILI team (NTIRE 2021, sec. 4.1).
    """

    expanded: int = 256  # channels before the activation
    reduction: int = 16  # channels to each of the attention's bottleneck
    attended: Attended = "branch"
    inner: int | None = None  # channels of the convolutions' ends where x has others

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        width = x.shape[-1]
        inner = self.inner or width
        gate = ChannelAttention(
            (inner if self.attended == "branch" else width) // self.reduction, name="attention"
        )
        y = x if inner == width else Conv(inner, 1, name="narrow")(x)
        y = Conv(inner, name="conv2")(nn.relu(Conv(self.expanded, name="conv1")(y)))
        y = gate(y) if self.attended == "branch" else y
        y = y if inner == width else Conv(width, 1, name="widen")(y)
        alpha = self.param("alpha", nn.initializers.constant(_ALPHA), (1,))
        beta = self.param("beta", nn.initializers.constant(_BETA), (1,))
        shape = (1, 1, 1, 1)
        x = alpha.astype(x.dtype).reshape(shape) * x + beta.astype(x.dtype).reshape(shape) * y
        return gate(x) if self.attended == "sum" else x
