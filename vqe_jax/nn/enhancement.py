"""The quality enhancement part of STDF and RFDA: plain convolutions, with attention in between."""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.nn.deformable_attention import DSTA
from vqe_jax.nn.layers import Conv

__all__ = ["ATTENTIONS", "Attention", "PlainEnhancement"]

Attention = Literal["none", "dsta", "no_deformable", "no_channel"]

# What each kind of attention leaves in; None: no attention at all.
ATTENTIONS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "dsta": {},
    "no_deformable": {"deformable": False},
    "no_channel": {"channel": False},
}


class PlainEnhancement(nn.Module):
    """``depth`` convolutions from fused features to a residual picture, ReLU between them."""

    features: int = 48  # of the hidden layers
    depth: int = 8  # convolutions, the first and the last included
    channels: int = 1  # of the picture
    attention: Attention = "none"  # after every hidden convolution

    @nn.compact
    def __call__(self, x: Float[Array, "b h w f"]) -> Float[Array, "b h w c"]:
        """The residual of the current frame."""
        x = nn.relu(Conv(self.features, name="in_conv")(x))
        parts = ATTENTIONS[self.attention]
        for i in range(self.depth - 2):
            x = nn.relu(Conv(self.features, name=f"conv{i}")(x))
            if parts is not None:
                x = DSTA(**parts, name=f"attention{i}")(x)
        return Conv(self.channels, name="out_conv")(x)
