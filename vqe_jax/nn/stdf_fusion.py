"""Spatio-temporal deformable fusion (STDF), which RFDA, DCNGAN and STDR take over.

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

__all__ = ["STDFFusion", "offset_unet"]

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
        hidden = offset_unet(stack.astype(self.dtype), self.features, self.depth)
        # The authors start all of them at PyTorch's default, not at zero.
        plan = Conv(3 * taps * n, name="offset_mask")(hidden)
        offset, mask = plan[..., : 2 * taps * n], nn.sigmoid(plan[..., 2 * taps * n :])
        deform = DeformConv(self.out_features, self.kernel_size, n, name="deform_conv")
        return nn.relu(deform(stack, offset, mask)).astype(self.dtype)


def offset_unet(
    stack: Float[Array, "b h w n"], features: int, depth: int
) -> Float[Array, "b h w f"]:
    """The U-Net alone, its layers named in the module that calls it (Fig. 2, "offset prediction").

    Args:
      stack: maps, usually the frames of a window.
      depth: times that it halves the size; the sides are multiples of ``2**depth``.

    Returns:
      What the offsets are predicted from.
    """
    x = _conv(stack, features, "in_conv")
    skips = []
    for i in range(1, depth):
        x = _conv(x, features, f"down{i}_conv1", stride=2)
        x = _conv(x, features, f"down{i}_conv2")
        skips.append(x)
    x = _conv(_conv(x, features, "bottom_conv1", stride=2), features, "bottom_conv2")
    x = _up(x, features, "bottom_up")
    for i in range(depth - 1, 0, -1):
        x = _conv(jnp.concatenate([x, skips[i - 1]], axis=-1), features, f"up{i}_conv")
        x = _up(x, features, f"up{i}_up")
    return _conv(x, features, "out_conv")


def _conv(x: Map, features: int, name: str, stride: int = 1) -> Map:
    return nn.relu(Conv(features, stride=stride, name=name)(x))


def _up(x: Map, features: int, name: str) -> Map:
    return nn.relu(ConvTranspose(features, name=name)(x))
