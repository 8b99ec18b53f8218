"""A densely connected U-Net of residual blocks, as RBQE and CVQENet use it.

Xing et al., "Early Exit or Not: Resource-Efficient Blind Quality Enhancement for Compressed
Images", ECCV 2020; its cells as in CVQENet (NTIRE 2021 report, Fig. 12-(b)): cell (i, j) is at
level i, and reads all cells of its level before it and the one below.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.gates import EfficientChannelGate
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.residual import ResidualBlocks
from vqe_jax.ops.shuffle import pixel_shuffle

__all__ = ["NestedUNet"]

Maps = Float[Array, "b h w f"]

_DEPTH = 3


class NestedUNet(nn.Module):
    """Three levels down and all the ways up; sides are multiples of 8.

    Every input of a cell passes through a channel gate of its own.
    """

    features: int
    blocks: int  # residual blocks in a cell
    gated: bool = False  # weigh the residuals place by place

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        head = nn.relu(Conv(self.features, name="head")(x))
        first = head + ResidualBlocks(self.features, 1, name="first")(head)
        cells = [[first]]  # by level, in the order of j
        for bottom in range(1, _DEPTH + 1):
            # One level deeper, then back up along a new diagonal.
            gate = EfficientChannelGate(name=f"gate{bottom}0_down")
            down = _Down(self.features, self.blocks, self.gated, name=f"cell{bottom}0")
            cells.append([down(gate(cells[bottom - 1][0]))])
            for level in reversed(range(bottom)):
                cells[level].append(self._up(level, bottom - level, cells))
        return Conv(self.features, name="out")(cells[0][-1])

    def _up(self, level: int, column: int, cells: list[list[Array]]) -> Maps:
        """Cell (level, column) from those before it and the one below."""
        name = f"{level}{column}"
        before = [
            EfficientChannelGate(name=f"gate{name}_skip{j}")(x)
            for j, x in enumerate(cells[level][:column])
        ]
        below = EfficientChannelGate(name=f"gate{name}_below")(cells[level + 1][column - 1])
        return _Up(self.features, self.blocks, self.gated, name=f"cell{name}")(before, below)


class _Down(nn.Module):
    """Residual blocks with a skip around all of them, and a strided convolution."""

    features: int
    blocks: int
    gated: bool

    @nn.compact
    def __call__(self, x: Maps) -> Float[Array, "b h2 w2 f"]:
        """Halves the size."""
        x = x + ResidualBlocks(self.features, self.blocks, gated=self.gated, name="body")(x)
        return nn.relu(Conv(self.features, stride=2, padding=1, name="down")(x))


class _Up(nn.Module):
    """The level below at twice its size, joined to what is there, and residual blocks."""

    features: int
    blocks: int
    gated: bool

    @nn.compact
    def __call__(self, before: list[Maps], below: Float[Array, "b h2 w2 f"]) -> Maps:
        """Joins the levels."""
        x = nn.relu(pixel_shuffle(Conv(4 * self.features, name="up")(below), 2))
        x = nn.relu(Conv(self.features, name="head")(jnp.concatenate([*before, x], axis=-1)))
        return x + ResidualBlocks(self.features, self.blocks, gated=self.gated, name="body")(x)
