"""NOAHTCV's network: the frame and the peaks around it through one U-Net with shared weights.

NTIRE 2021 (Yang et al., CVPRW 2021), sec. 4.4 and Fig. 5. Never released; docs/decisions.md says
what the text leaves open.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.models.references import NearestPeaks
from vqe_jax.nn.deform import DeformConv
from vqe_jax.nn.edvr import DeformPack
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.residual import ResidualBlocks, Upsample

__all__ = ["NOAHTCV", "HeadsUNet"]

Maps = Float[Array, "n h w f"]
Heads = Float[Array, "n k h w f"]

_TAPS = 9
_FRAMES = 3


class NOAHTCV(WindowNetwork):
    """Aligns three frames without supervision, then lets a U-Net of three heads fuse them."""

    channels: int = 3
    reach: int = 8  # frames before and after the current one among which peaks are looked for
    features: int = 64
    front_blocks: int = 5  # residual blocks on each frame
    offset_features: int = 64  # of the U-Net that predicts the offsets
    deform_groups: int = 8  # of a frame's features that share offsets
    levels: int = 3  # times that the U-Nets halve the size
    unet_blocks: int = 2  # residual blocks at each place of the heads
    back_blocks: int = 10  # residual blocks at the end
    fused_to: Literal["heads", "skips"] = "heads"  # where the encoder's fused features go
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    @property
    def context(self) -> Context:
        """The nearest peaks; offsets make the receptive field unbounded."""
        return Context(multiple=2**self.levels, references=NearestPeaks(self.reach, self.reach))

    @nn.compact
    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The report's Fig. 5, from left to right."""
        wrap = recomputed(self.remat)
        frame = windows[:, _FRAMES // 2]
        x = leaky_relu(Conv(self.features, name="conv_first")(windows.astype(self.dtype)))
        front = wrap(ResidualBlocks)(self.features, self.front_blocks, name="front")
        x = front(x.reshape(-1, *x.shape[2:])).reshape(x.shape)
        x = self._aligned(x)
        unet = wrap(HeadsUNet)(
            self.features,
            self.levels,
            self.unet_blocks,
            self.deform_groups,
            self.fused_to,
            name="heads",
        )
        x = Fuse(self.features, self.deform_groups, name="fuse")(unet(x))
        x = wrap(ResidualBlocks)(self.features, self.back_blocks, name="back")(x)
        return frame + Conv(self.channels, name="conv_last")(x).astype(frame.dtype)

    def _aligned(self, x: Heads) -> Heads:
        """Each frame's features sampled where one U-Net on all of them says."""
        n, k = x.shape[:2]
        hidden = OffsetUNet(self.offset_features, self.levels, name="offset_unet")(_stacked(x))
        count = self.deform_groups * _TAPS
        zeros = nn.initializers.zeros
        plan = Conv(3 * count * k, kernel_init=zeros, bias_init=zeros, name="offset")(hidden)
        # One batch entry a frame, as the features are.
        plan = jnp.moveaxis(plan.reshape(*plan.shape[:3], k, -1), 3, 1)
        plan = plan.reshape(n * k, *plan.shape[2:])
        offset, mask = plan[..., : 2 * count], nn.sigmoid(plan[..., 2 * count :])
        deform = DeformConv(self.features, 3, self.deform_groups, name="align")
        return leaky_relu(deform(x.reshape(-1, *x.shape[2:]), offset, mask)).reshape(x.shape)


class Fuse(nn.Module):
    """One deformable convolution over all heads, each of which has offsets of its own."""

    features: int
    deform_groups: int  # of a head

    @nn.compact
    def __call__(self, x: Heads) -> Maps:
        """Fuses the heads."""
        stack = _stacked(x)
        guide = leaky_relu(Conv(self.features, name="guide")(stack))
        groups = self.deform_groups * x.shape[1]
        fused, _ = DeformPack(self.features, groups, name="deform")(stack, guide)
        return leaky_relu(fused)


class OffsetUNet(nn.Module):
    """Strided convolutions down, pixel shuffles up, skips joined as channels."""

    features: int
    levels: int

    @nn.compact
    def __call__(self, x: Float[Array, "n h w i"]) -> Maps:
        """What offsets are predicted from."""
        x = leaky_relu(Conv(self.features, name="in_conv")(x))
        skips = []
        for k in range(self.levels):
            skips.append(x)
            x = leaky_relu(Conv(self.features, stride=2, padding=1, name=f"strided{k}")(x))
            x = leaky_relu(Conv(self.features, name=f"down{k}")(x))
        for k in reversed(range(self.levels)):
            x = Upsample(self.features, name=f"shuffled{k}")(x)
            both = jnp.concatenate([x, skips[k]], axis=-1)
            x = leaky_relu(Conv(self.features, name=f"up{k}")(both))
        return x


class HeadsUNet(nn.Module):
    """A U-Net that all frames go through, and that fuses them at each place."""

    features: int  # at full size; doubled from level to level
    levels: int
    blocks: int  # at each place
    deform_groups: int
    fused_to: Literal["heads", "skips"]

    @nn.compact
    def __call__(self, x: Heads) -> Heads:
        """Each frame's features, told of the others'."""
        skips = []
        for k in range(self.levels):
            x = self._blocks(x, f"down{k}")
            fused = self._fused(x, f"down_fuse{k}")
            x = x + fused if self.fused_to == "heads" else x
            skips.append(x if self.fused_to == "heads" else jnp.broadcast_to(fused, x.shape))
            width = self.features * 2 ** (k + 1)
            x = leaky_relu(Conv(width, stride=2, padding=1, name=f"strided{k}")(x))
        x = self._blocks(x, "bottom")
        x = x + self._fused(x, "bottom_fuse")
        for k in reversed(range(self.levels)):
            width = self.features * 2**k
            up = Upsample(width, name=f"shuffled{k}")(x.reshape(-1, *x.shape[2:]))
            x = up.reshape(*x.shape[:2], *up.shape[1:])
            both = jnp.concatenate([x, skips[k]], axis=-1)
            x = self._blocks(leaky_relu(Conv(width, name=f"join{k}")(both)), f"up{k}")
            x = x + self._fused(x, f"up_fuse{k}")
        return x

    def _blocks(self, x: Heads, name: str) -> Heads:
        blocks = ResidualBlocks(x.shape[-1], self.blocks, name=name)
        return blocks(x.reshape(-1, *x.shape[2:])).reshape(x.shape)

    def _fused(self, x: Heads, name: str) -> Float[Array, "n 1 h w f"]:
        return Fuse(x.shape[-1], self.deform_groups, name=name)(x)[:, None]


def _stacked(x: Heads) -> Float[Array, "n h w s"]:
    """The heads one after the other along the channels."""
    n, k, h, w, f = x.shape
    return x.transpose(0, 2, 3, 1, 4).reshape(n, h, w, k * f)
