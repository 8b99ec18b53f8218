"""EDVR's entry for blurred frames: a pyramid that mends each frame before they are aligned.

Wang et al., "EDVR: Video Restoration with Enhanced Deformable Convolutional Networks", CVPRW 2019,
sec. 3.1, in the form of the official code for inputs of full size.
"""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.residual import ResidualBlock, ResidualBlocks
from vqe_jax.ops.resample import resize_bilinear

__all__ = ["PreDeblur"]

_FINE_BLOCKS = (2, 3)  # residual blocks at the finest level, before and after the coarser's join


class PreDeblur(nn.Module):
    """Features at a quarter of the size; sides are multiples of 16."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h2 w2 f"]:
        """Mends each frame on its own."""
        lead, frames = x.shape[:-3], x.reshape(-1, *x.shape[-3:])
        fine = leaky_relu(Conv(self.features, name="conv_first")(frames))
        fine = self._halved(self._halved(fine, "conv_down1"), "conv_down2")
        middle = self._halved(fine, "l2_conv")
        coarse = ResidualBlock(self.features, name="l3_block")(self._halved(middle, "l3_conv"))
        middle = ResidualBlock(self.features, name="l2_block1")(middle) + _like(coarse, middle)
        middle = ResidualBlock(self.features, name="l2_block2")(middle)
        before, after = _FINE_BLOCKS
        fine = ResidualBlocks(self.features, before, name="l1_before")(fine) + _like(middle, fine)
        fine = ResidualBlocks(self.features, after, name="l1_after")(fine)
        return fine.reshape(*lead, *fine.shape[1:])

    def _halved(self, x: Float[Array, "n h w f"], name: str) -> Float[Array, "n h2 w2 f"]:
        return leaky_relu(Conv(self.features, stride=2, padding=1, name=name)(x))


def _like(x: Float[Array, "n h w f"], other: Float[Array, "n h2 w2 f"]) -> Array:
    """Coarser features at the size of finer ones."""
    return resize_bilinear(x, (other.shape[1], other.shape[2]))
