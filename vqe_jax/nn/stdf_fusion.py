"""Spatio-temporal deformable fusion (STDF), which RFDA and DCNGAN take over.

Deng et al., "Spatio-Temporal Deformable Convolution for Compressed Video Quality Enhancement",
AAAI 2020, Fig. 2: a small U-Net looks at a stack of maps and predicts offsets and a mask for one
deformable convolution over that stack, in which every map has offsets of its own.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.deform import DeformConv
from vqe_jax.nn.layers import Conv, ConvTranspose

__all__ = ["STDFFusion"]

Map = Float[Array, "_ _ _ _"]  # sizes and channels change inside


class STDFFusion(nn.Module):
    """U-Net, offsets and mask, deformable convolution, ReLU; sides are multiples of 2**depth."""

    features: int = 32  # of the U-Net
    out_features: int = 64  # of the result
    depth: int = 3  # times that the U-Net halves the size
    kernel_size: int = 3  # of the deformable convolution, odd
    dtype: str = "float32"  # of the computation; the stack is sampled as it comes

    @nn.compact
    def __call__(self, stack: Float[Array, "b h w n"]) -> Map:
        """Joins ``n`` maps, usually the frames of a window, into features of the current one."""
        n, taps = stack.shape[-1], self.kernel_size**2
        hidden = self._trunk(stack.astype(self.dtype))
        # The authors start all of them at PyTorch's default, not at zero.
        plan = Conv(3 * taps * n, name="offset_mask")(hidden)
        offset, mask = plan[..., : 2 * taps * n], nn.sigmoid(plan[..., 2 * taps * n :])
        deform = DeformConv(self.out_features, self.kernel_size, n, name="deform_conv")
        return nn.relu(deform(stack, offset, mask)).astype(self.dtype)

    def _trunk(self, stack: Float[Array, "b h w n"]) -> Map:
        x = self._conv(stack, "in_conv")
        skips = []
        for i in range(1, self.depth):
            x = self._conv(self._conv(x, f"down{i}_conv1", stride=2), f"down{i}_conv2")
            skips.append(x)
        x = self._conv(self._conv(x, "bottom_conv1", stride=2), "bottom_conv2")
        x = self._up(x, "bottom_up")
        for i in range(self.depth - 1, 0, -1):
            x = self._conv(jnp.concatenate([x, skips[i - 1]], axis=-1), f"up{i}_conv")
            x = self._up(x, f"up{i}_up")
        return self._conv(x, "out_conv")

    def _conv(self, x: Map, name: str, stride: int = 1) -> Map:
        return nn.relu(Conv(self.features, stride=stride, name=name)(x))

    def _up(self, x: Map, name: str) -> Map:
        return nn.relu(ConvTranspose(self.features, name=name)(x))
