"""Residual feature aggregation with spatial attention, and its form with dilated branches.

Liu et al., "Residual Feature Aggregation Network for Image Super-Resolution", CVPR 2020; the
dilated form is ShannonNet's (NTIRE 2021). As the released code computes it, what is aggregated are
the blocks' results with the residual already added, not the residual branches of the paper.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.channel_attention import ChannelAttention
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.remat import recomputed
from vqe_jax.ops.resample import resize_bilinear

__all__ = ["MIN_SIDE", "DilatedBlock", "NestedResiduals", "SpatialAttention"]

Maps = Float[Array, "b h w c"]

# Seven pixels must be left after the convolution with stride 2.
MIN_SIDE = 15

_BLOCKS = 3  # with a residual; one more has none
_SLOPE = 0.01
_CHANNEL_REDUCTION = 8


def _leaky(x: Maps) -> Maps:
    return nn.leaky_relu(x, _SLOPE)


class SpatialAttention(nn.Module):
    """Weighs places and channels by what a coarse grid sees (enhanced spatial attention)."""

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Gates features; sides of at least 15 pixels."""
        c = x.shape[-1]
        reduced = Conv(c // 4, 1, name="conv1")(x)
        coarse = nn.max_pool(
            Conv(c // 4, stride=2, padding=0, name="conv2")(reduced), (7, 7), (3, 3)
        )
        coarse = nn.relu(Conv(c // 4, name="conv_max")(coarse))
        coarse = Conv(c // 4, name="conv3_")(nn.relu(Conv(c // 4, name="conv3")(coarse)))
        whole = resize_bilinear(coarse, (x.shape[1], x.shape[2]))
        whole = whole + Conv(c // 4, 1, name="conv_f")(reduced)
        return x * nn.sigmoid(Conv(c, 1, name="conv4")(whole))


class PlainBlock(nn.Module):
    """Two convolutions and spatial attention."""

    residual: bool = True

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        c = x.shape[-1]
        y = Conv(c, name="conv2")(_leaky(Conv(c, name="conv1")(x)))
        y = SpatialAttention(name="attention")(y)
        return x + y if self.residual else y


class DilatedBlock(nn.Module):
    """Four branches that look 1, 3, 3 and 5 pixels apart, joined, gated, beside a short path."""

    residual: bool = True
    channel: bool = False  # a gate for channels in place of the spatial one

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features, of which there are at least 8."""
        c = x.shape[-1]
        quarter = c // 4
        branches = [
            self._branch("branch1", x, [(quarter, 1, 1), (quarter, 3, 1)]),
            self._branch("branch2", x, [(quarter, 1, 1), (quarter, (3, 1), 1), (quarter, 3, 3)]),
            self._branch("branch3", x, [(quarter, 1, 1), (quarter, (1, 3), 1), (quarter, 3, 3)]),
            self._branch(
                "branch4",
                x,
                [(c // 8, 1, 1), (3 * c // 16, (1, 3), 1), (quarter, (3, 1), 1), (quarter, 3, 5)],
            ),
        ]
        y = _leaky(Conv(c, 1, name="join")(jnp.concatenate(branches, axis=-1)))
        if self.channel:
            y = ChannelAttention(c // _CHANNEL_REDUCTION, name="attention")(y)
        else:
            y = SpatialAttention(name="attention")(y)
        short = Conv(c, 1, name="short")
        if self.residual:
            return y + _leaky(short(x))
        if self.is_initializing():
            short(x)  # held by the released weights, read by nothing
        return y

    def _branch(
        self, name: str, x: Maps, layers: list[tuple[int, Any, int]]
    ) -> Float[Array, "b h w d"]:
        """Convolutions given by width, size and dilation; the last has no activation."""
        for k, (width, size, dilation) in enumerate(layers):
            y = x if k == 0 else _leaky(x)
            x = Conv(width, size, dilation=dilation, name=f"{name}_{k}")(y)
        return x


class _Group(nn.Module):
    """Three blocks and one without a residual; all four results joined, and the input added."""

    dilated: bool

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        block: Any = DilatedBlock if self.dilated else PlainBlock
        results = [x]
        for k in range(_BLOCKS):
            results.append(block(name=f"block{k}")(results[-1]))
        last = block(residual=False, name="last")(results[-1])
        y = Conv(x.shape[-1], 1, name="join")(jnp.concatenate([last, *results[1:]], axis=-1))
        return x + y


class NestedResiduals(nn.Module):
    """A convolution, groups with a skip around them, a convolution."""

    groups: int  # how many
    dilated: bool = False
    remat: bool | None = False  # recompute each group in the backward pass

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        group = recomputed(self.remat)(_Group)
        x = y = Conv(x.shape[-1], name="head")(x)
        for k in range(self.groups):
            y = group(self.dilated, name=f"group{k}")(y)
        return Conv(x.shape[-1], name="tail")(x + y)
