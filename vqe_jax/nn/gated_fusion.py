"""Two predictions of a frame merged by a mask that is predicted too."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.layers import Conv, leaky_relu

__all__ = ["GatedFusion"]

Frame = Float[Array, "n h w c"]


class GatedFusion(nn.Module):
    """``mask * one + (1 - mask) * two``; the mask, 0 to 1, comes from a stack of convolutions.

    The BILIBILI team's (NTIRE 2021, sec. 4.1, Eq. 2). It begins as the mean of both.
    """

    features: int = 64
    depth: int = 4  # convolutions
    per_color: bool = False  # a mask for each channel of the frame; False: one for all

    @nn.compact
    def __call__(
        self, one: Frame, two: Frame, frame: Frame
    ) -> tuple[Frame, Float[Array, "n h w m"]]:
        """The merged frame, and the mask."""
        x = jnp.concatenate([one, two, frame], axis=-1)
        for k in range(self.depth - 1):
            x = leaky_relu(Conv(self.features, name=f"conv{k}")(x))
        zeros = nn.initializers.zeros
        width = frame.shape[-1] if self.per_color else 1
        mask = nn.sigmoid(Conv(width, kernel_init=zeros, bias_init=zeros, name="mask")(x))
        return mask * one + (1 - mask) * two, mask
