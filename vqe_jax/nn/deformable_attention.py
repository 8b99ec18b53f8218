"""Deformable spatio-temporal attention (DSTA) of RFDA.

Zhao et al., "Recursive Fusion and Deformable Spatiotemporal Attention for Video Compression
Artifact Reduction", ACM MM 2021, Fig. 4: on a coarse grid, a deformable convolution with offsets
from two scales finds where the artefacts are; from it come a gate for every pixel and channel and
a gate for every channel.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.deform import DeformConv
from vqe_jax.nn.layers import Conv
from vqe_jax.ops.resample import resize_bilinear

__all__ = ["DSTA", "DSTA_MIN_SIDE"]

# Seven pixels must be left after the convolution with stride 2.
DSTA_MIN_SIDE = 15

Map = Float[Array, "b h w c"]


class DSTA(nn.Module):
    """Multiplies features by their spatial and their channel gate; there is no residual."""

    deformable: bool = True  # False: an ordinary convolution in place of the deformable one
    channel: bool = True  # False: no gate for channels

    @nn.compact
    def __call__(self, x: Map) -> Map:
        """Gates features; sides of at least 15 pixels, channels a multiple of 4."""
        c = x.shape[-1]
        reduced = Conv(c // 4, 1, name="conv1")(x)
        attended = self._attend(Conv(c // 4, stride=2, padding=0, name="conv2")(reduced))
        whole = resize_bilinear(attended, (x.shape[1], x.shape[2]))
        whole = whole + Conv(c // 4, 1, name="conv_f")(reduced)
        gated = x * nn.sigmoid(Conv(c, 1, name="conv4")(whole))
        if not self.channel:
            return gated
        mean = jnp.mean(attended, axis=(1, 2), keepdims=True)
        hidden = nn.relu(Conv(c // 2, 1, name="squeeze")(mean))
        return gated * nn.sigmoid(Conv(c, 1, name="excite")(hidden))

    def _attend(self, x: Float[Array, "b h w f"]) -> Float[Array, "b h2 w2 f"]:
        f = x.shape[-1]
        pooled = nn.max_pool(x, (7, 7), (3, 3))
        if not self.deformable:
            return nn.relu(Conv(f, name="dcn")(pooled))
        hidden = pooled
        for name in ("conv_max", "conv3", "conv3_"):
            hidden = nn.relu(Conv(f, name=name)(hidden))
        coarse = nn.relu(Conv(f, stride=2, name="down_conv2")(hidden))
        plan = Conv(27 * f, name="mask")(hidden)
        plan = plan + resize_bilinear(
            Conv(27 * f, name="mask2")(coarse), (plan.shape[1], plan.shape[2])
        )
        offset, mask = plan[..., : 18 * f], nn.sigmoid(plan[..., 18 * f :])
        return nn.relu(DeformConv(f, 3, f, name="dcn")(pooled, offset, mask))
