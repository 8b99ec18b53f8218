"""STDR: spatio-temporal deformable fusion at three reaches, and dense residual blocks.

Luo et al., "Spatio-Temporal Detail Information Retrieval for Compressed Video Quality
Enhancement", IEEE TMM 2023; code: xiaomingxige/STDR. STDF's U-Net predicts
offsets for three deformable convolutions of kernels 1, 3 and 5 over the frames of a window; their
results are weighed against each other, channel by channel, and refined by dense blocks whose two
summands have learned scales.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.models.families import check_reduction
from vqe_jax.nn.channel_attention import ChannelAttention
from vqe_jax.nn.deform import DeformConv
from vqe_jax.nn.frame_windows import frame_stack
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.stdf_fusion import offset_unet

__all__ = ["STDR"]

Maps = Float[Array, "n h w f"]

_KERNELS = (1, 3, 5)  # of the deformable convolutions
_LEAST_HIDDEN = 32  # channels that decide the weights of the branches


class STDR(WindowNetwork):
    """Fuses ``2 * radius + 1`` frames by three deformable convolutions, then enhances."""

    radius: int = 3  # neighbors on each side
    unet_features: int = 64  # of the U-Net that predicts offsets
    depth: int = 3  # times that it halves the size
    fused: int = 64  # features after the fusion
    features: int = 32  # of the enhancement
    growth: int = 32  # channels that each layer of a dense block adds
    layers: int = 4  # of a dense block
    blocks: int = 4  # dense blocks
    reduction: int = 4  # channels to each of their attention's bottleneck
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks

    def __post_init__(self) -> None:
        width = self.features + self.layers * self.growth
        check_reduction(self, width, "dense block width")
        super().__post_init__()

    @property
    def context(self) -> Context:
        """A window; offsets make the receptive field unbounded."""
        return Context(past=self.radius, future=self.radius, multiple=2**self.depth)

    @nn.compact
    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The residual of the fused frames, added to the current one."""
        wrap = recomputed(self.remat)
        fusion = wrap(SelectiveFusion)(self.unet_features, self.fused, self.depth, name="fusion")
        x = nn.relu(Conv(self.features, name="conv_in")(fusion(frame_stack(windows))))
        for k in range(self.blocks):
            dense = wrap(DenseBlock)(self.growth, self.layers, self.reduction, name=f"block{k}")
            x = dense(x)
        x = nn.relu(Conv(self.features, name="conv_out")(x))
        return windows[:, self.radius] + Conv(self.channels, name="conv_last")(x)


class SelectiveFusion(nn.Module):
    """Deformable convolutions of several kernels over one stack, and their weighted merger."""

    unet_features: int
    features: int  # of each branch and of the result
    depth: int

    @nn.compact
    def __call__(self, stack: Float[Array, "n h w s"]) -> Maps:
        """Joins the frames of a window into features of the current one."""
        hidden = offset_unet(stack, self.unet_features, self.depth)
        branches = [self._branch(i, stack, hidden) for i in range(len(_KERNELS))]
        joined = nn.relu(
            Conv(self.features, 1, name="join")(jnp.concatenate(branches, axis=-1))
        ).mean((1, 2), keepdims=True)
        narrow = max(self.unet_features // 4, _LEAST_HIDDEN)
        code = nn.relu(Conv(narrow, 1, name="squeeze")(joined))
        # Weights of any size and sign: nothing makes them sum to one.
        weighed = [
            branch * Conv(self.features, 1, name=f"weight{i}")(code)
            for i, branch in enumerate(branches)
        ]
        return nn.relu(Conv(self.features, 1, name="merge")(jnp.concatenate(weighed, axis=-1)))

    def _branch(
        self, i: int, stack: Float[Array, "n h w s"], hidden: Float[Array, "n h w u"]
    ) -> Maps:
        """The deformable convolution of one kernel, whose own reach its offsets are seen with."""
        size, maps, width = _KERNELS[i], stack.shape[-1], hidden.shape[-1]
        taps = size**2
        plan = Conv(width, size, groups=width, name=f"offset{i}_depth")(hidden)
        plan = Conv(3 * maps * taps, 1, name=f"offset{i}_point")(plan)
        offset, mask = plan[..., : 2 * maps * taps], nn.sigmoid(plan[..., 2 * maps * taps :])
        deform = DeformConv(self.features, size, maps, name=f"deform{i}")
        return nn.relu(deform(stack, offset, mask))


class DenseBlock(nn.Module):
    """Densely connected convolutions, channel attention, and a sum with two learned scales."""

    growth: int
    layers: int
    reduction: int

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        y = x
        for i in range(self.layers):
            new = nn.relu(Conv(self.growth, name=f"dense{i}")(y))
            y = jnp.concatenate([y, new], axis=-1)
        y = ChannelAttention(y.shape[-1] // self.reduction, name="attention")(y)
        y = Conv(x.shape[-1], name="conv")(y)
        kept = self.param("skip_scale", nn.initializers.ones, (1,))
        added = self.param("scale", nn.initializers.constant(0.2), (1,))
        return x * kept[None, None, None] + y * added[None, None, None]
