"""Block2Rock (Noah-Hisilicon, NTIRE 2021, section 4.7, Fig. 7): stacks of matching blocks.

For each block of the current frame the most similar one of every other frame is found; the stack
goes through EDVR (or RRDB), which gives the block enhanced. Blocks are small so that stacks may be
tall: 48x48 pixels of 50 frames. Never released; docs/decisions.md says what the text leaves open.
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.core.lift import Out
from jax import lax
from jaxtyping import Array, Float, Int

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.nn.edvr import EDVRTrunk
from vqe_jax.nn.frame_windows import frame_stack
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.rrdb import RRDBTrunk
from vqe_jax.ops.block_matching import block_corners, blocks_at, joined_blocks, match_blocks

__all__ = ["Block2Rock", "EDVRBackbone", "RRDBBackbone"]

Stacks = Float[Array, "n k s s c"]  # the block to enhance comes first
Blocks = Float[Array, "n s s c"]


class EDVRBackbone(nn.Module):
    """EDVR over a stack whose first block is the reference."""

    channels: int
    features: int
    deform_groups: int
    extraction_blocks: int
    reconstruction_blocks: int
    remat: bool | None

    @nn.compact
    def __call__(self, stacks: Stacks) -> Blocks:
        """What is to be added to the first block."""
        trunk = EDVRTrunk(
            self.features,
            self.deform_groups,
            self.extraction_blocks,
            self.reconstruction_blocks,
            reference=0,
            remat=self.remat,
            name="trunk",
        )
        x = leaky_relu(Conv(self.features, name="conv_hr")(trunk(stacks)[0]))
        return Conv(self.channels, name="conv_last")(x)


class RRDBBackbone(nn.Module):
    """ESRGAN's trunk over a stack as channels."""

    channels: int
    features: int
    growth: int
    blocks: int
    remat: bool | None

    @nn.compact
    def __call__(self, stacks: Stacks) -> Blocks:
        """What is to be added to the first block."""
        trunk = RRDBTrunk(
            self.channels, self.features, self.growth, self.blocks, remat=self.remat, name="trunk"
        )
        return trunk(frame_stack(stacks))


class Block2Rock(WindowNetwork):
    """Enhances a frame block by block, each from a stack of its matches in the frames around."""

    past: int = 24  # frames before the current one in which matches are looked for
    future: int = 25  # and after it; 50 frames with the current one
    patch: int = 48  # side of a block in pixels, a multiple of 4
    stride: int = 24  # between neighboring blocks in pixels
    blend: Literal["linear", "mean"] = "linear"  # of blocks that overlap; weight falls to the edge
    search: int | None = None  # how far a match may lie from its block, pixels; None: anywhere
    method: Literal["fft", "conv"] = "fft"  # of the search; "conv" is faster for small blocks
    backbone: Literal["edvr", "rrdb"] = "edvr"  # "rrdb": the team's baseline, blocks as channels
    features: int = 64
    deform_groups: int = 8  # of EDVR: features that share offsets
    extraction_blocks: int = 5  # of EDVR: residual blocks on each block of a stack
    reconstruction_blocks: int = 10  # residual blocks after the fusion
    rrdb_blocks: int = 23
    rrdb_growth: int = 32  # channels of its dense convolutions
    channels: int = 3
    stacks_at_once: int = 8  # that are in memory together
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    def __post_init__(self) -> None:
        if self.patch % 4:
            raise UserError(f"Block2Rock: patch={self.patch} must be a multiple of 4 pixels")
        super().__post_init__()

    @property
    def context(self) -> Context:
        """All frames in reach; matches may come from anywhere in them."""
        return Context(past=self.past, future=self.future, min_side=self.patch)

    def setup(self) -> None:
        """The backbone."""
        if self.backbone == "edvr":
            self.enhancer: nn.Module = EDVRBackbone(
                self.channels,
                self.features,
                self.deform_groups,
                self.extraction_blocks,
                self.reconstruction_blocks,
                self.remat,
            )
        else:
            self.enhancer = RRDBBackbone(
                self.channels, self.features, self.rrdb_growth, self.rrdb_blocks, self.remat
            )

    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """Matches, stacks, enhanced blocks, and the frames that they make."""
        height, width = windows.shape[2:4]
        corners = block_corners(height, width, self.patch, self.stride)
        stacks = lax.map(lambda frames: self.stacks(frames, corners), windows)
        flat = stacks.reshape(-1, *stacks.shape[2:])
        added = self._enhanced(flat.astype(self.dtype)).astype(windows.dtype)
        blocks = (flat[:, 0] + added).reshape(*stacks.shape[:2], *added.shape[1:])
        weight = np.ones((self.patch, self.patch))
        if self.blend == "linear":
            rise = np.minimum(np.arange(self.patch), np.arange(self.patch)[::-1]) + 1.0
            weight = np.multiply.outer(rise, rise)
        frames = [joined_blocks(b, corners, (height, width), weight) for b in blocks]
        return jnp.stack(frames)

    def stacks(
        self, frames: Float[Array, "k h w c"], corners: Int[np.ndarray, "m 2"]
    ) -> Float[Array, "m k s s c"]:
        """Each block of the current frame, and its match in every other, in the order of time."""
        now = frames[self.past]
        blocks = blocks_at(now, corners, self.patch)
        others = jnp.concatenate([frames[: self.past], frames[self.past + 1 :]])

        def matches(other: Float[Array, "h w c"]) -> Float[Array, "m s s c"]:
            found = match_blocks(other, blocks, corners, search=self.search, method=self.method)
            return blocks_at(other, found, self.patch)

        return jnp.concatenate([blocks[:, None], jnp.swapaxes(lax.map(matches, others), 0, 1)], 1)

    def _enhanced(self, stacks: Stacks) -> Blocks:
        """The backbone over all stacks, a few at a time."""
        count, few = len(stacks), min(self.stacks_at_once, len(stacks))
        missing = -count % few
        stacks = jnp.pad(stacks, [(0, missing), *[(0, 0)] * 4])
        if self.is_initializing() or count == few:
            return self.enhancer(stacks)[:count]
        over: Any = nn.scan(
            lambda module, carry, x: (carry, module(x)),
            variable_broadcast="params",
            variable_axes={"metrics": Out(0)},
            split_rngs={"params": False},
        )
        _, blocks = over(self.enhancer, (), stacks.reshape(-1, few, *stacks.shape[1:]))
        return blocks.reshape(-1, *blocks.shape[2:])[:count]
