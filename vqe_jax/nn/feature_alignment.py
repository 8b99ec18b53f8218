"""Aligning a neighbor's features to a frame's without attention.

What PeQuENet is compared with: a deformable convolution (the paper's Fig. 10) and warping along
optical flow (Fig. 11). Both take the place of :class:`vqe_jax.nn.attention.AttentionBlock`.
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.deform import DeformConv
from vqe_jax.nn.layers import Conv
from vqe_jax.ops.resample import resize_bilinear
from vqe_jax.ops.warp import flow_warp

__all__ = ["DeformableAlignment", "FlowAlignment"]

Map = Float[Array, "b h w c"]

_TAPS = 9


class FlowAlignment(nn.Module):
    """Warps the neighbor's features along the flow between the frames; no parameters.

    The flow is resized to the features and its vectors shortened with it.
    """

    @nn.compact
    def __call__(self, target: Map, reference: Map, flow: Float[Array, "b h2 w2 2"]) -> Map:
        """The reference's features, moved to where the target has them.

        Args:
          target: the frame's features (they only give the size).
          flow: from the frame to the neighbor, (dx, dy) pixels of the frames.
        """
        h, w = target.shape[1:3]
        scale = jnp.array([w / flow.shape[2], h / flow.shape[1]], jnp.float32)
        small = resize_bilinear(flow, (h, w)) * scale[None, None, None]
        return flow_warp(reference, small, padding="border")


class DeformableAlignment(nn.Module):
    """A modulated deformable convolution whose offsets both features predict.

    The paper gives the idea only; two 3x3 convolutions predict offsets and masks here, and start
    from no displacement.
    """

    groups: int = 8  # offset groups, at most: the nearest number that divides the channels

    @nn.compact
    def __call__(self, target: Map, reference: Map) -> Map:
        """The reference's features, gathered where the target asks for them."""
        channels = target.shape[-1]
        groups = math.gcd(self.groups, channels)
        x = jnp.concatenate([target, reference], axis=-1)
        x = nn.relu(Conv(channels, name="conv_both")(x))
        zeros = nn.initializers.zeros
        x = Conv(3 * _TAPS * groups, kernel_init=zeros, bias_init=zeros, name="conv_offset_mask")(x)
        offset, mask = x[..., : 2 * _TAPS * groups], nn.sigmoid(x[..., 2 * _TAPS * groups :])
        return DeformConv(channels, 3, groups, name="deform_conv")(reference, offset, mask)
