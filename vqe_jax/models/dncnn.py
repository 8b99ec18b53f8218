"""DnCNN: plain convolutions that predict what the encoder has taken from a frame.

Zhang et al., "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising", TIP
2017, in the form that PowerQE trains on compressed video: RGB, the residual added, each hidden
convolution after a ReLU, with batch normalization or without.
"""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.models import Context, FrameNetwork, Side
from vqe_jax.nn.batch_norm import BatchNorm
from vqe_jax.nn.layers import Conv

__all__ = ["DnCNN"]


class DnCNN(FrameNetwork):
    """``depth + 2`` convolutions from a frame to its residual."""

    channels: int = 3
    features: int = 64
    depth: int = 15  # hidden convolutions
    bn: bool = False  # batch normalization after each of them

    @property
    def context(self) -> Context:
        """A pixel a convolution."""
        return Context(receptive_field=self.depth + 2)

    @nn.compact
    def enhance(
        self, frames: Float[Array, "n h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The frames and their residuals."""
        x = Conv(self.features, name="first")(frames)
        for k in range(self.depth):
            x = Conv(self.features, use_bias=not self.bn, name=f"conv{k}")(nn.relu(x))
            if self.bn:  # its running statistics are nearly the last batch's, as in PowerQE
                x = BatchNorm(momentum=0.9, epsilon=1e-4, name=f"bn{k}")(x, train=train)
        return frames + Conv(self.channels, name="last")(nn.relu(x))
