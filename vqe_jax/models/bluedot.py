"""BLUEDOT (NTIRE 2021, section 4.13, Fig. 14): EDVR with the textures of an intra frame.

Intra frames are mostly of better quality than the others. The one that is most relevant to the
current frame gives its textures, found by TTSR's attention; in a second stage of training it is
first enhanced by the network of the first stage. Never released; docs/decisions.md says what the
text leaves open.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.models import Context, Outputs, Side, WindowNetwork
from vqe_jax.models.intra_frames import IntraFrames
from vqe_jax.nn.edvr import EDVRTrunk, Offsets
from vqe_jax.nn.intra_texture import IntraTexture, Match
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.residual import ResidualBlocks

__all__ = ["Bluedot", "IntraEDVR"]

Windows = Float[Array, "n k h w c"]
Frames = Float[Array, "n h w c"]


class IntraEDVR(nn.Module):
    """EDVR whose fused features are given textures before they are rebuilt."""

    features: int
    deform_groups: int
    extraction_blocks: int
    reconstruction_blocks: int
    channels: int
    relevance: Literal["content", "nearest"]
    fusion: Literal["soft", "network"]
    remat: bool | None

    def setup(self) -> None:
        """EDVR's parts, and the transformer between them."""
        blocks = recomputed(self.remat)(ResidualBlocks)
        self.trunk = EDVRTrunk(
            self.features, self.deform_groups, self.extraction_blocks, 0, remat=self.remat
        )
        self.texture = IntraTexture(self.features, self.relevance, self.fusion)
        self.reconstruction = blocks(self.features, self.reconstruction_blocks)
        self.conv_hr = Conv(self.features)
        self.conv_last = Conv(self.channels)

    def match(self, frames: Frames, candidates: Float[Array, "n m h w c"]) -> Match:
        """The most relevant candidate, and where it is like the frame."""
        return self.texture.match(frames, candidates)

    def __call__(self, windows: Windows, match: Match, intra: Frames) -> tuple[Frames, Offsets]:
        """The middle frame enhanced, and the offsets of the alignment."""
        x, offsets = self.trunk(windows)
        x = self.reconstruction(self.texture(x, match, intra))
        added = self.conv_last(leaky_relu(self.conv_hr(x)))
        return windows[:, windows.shape[1] // 2] + added, offsets


class Bluedot(WindowNetwork):
    """EDVR with the textures of the most relevant intra frame in reach.

    Outputs: "offsets" as EDVR's, "intra": the intra frame that gave its textures.
    """

    features: int = 64
    frames: int = 5  # of EDVR's window, odd
    lookback: int = 250  # frames before the current one among which intra frames are looked for
    lookahead: int = 32  # and after it
    candidates: int = 2  # the nearest intra frames, of which the most relevant is taken
    relevance: Literal["content", "nearest"] = "content"  # mean soft attention, or distance
    intra: Literal["compressed", "predicted"] = "compressed"  # stage 1, stage 2
    fusion: Literal["soft", "network"] = "soft"  # TTSR's, or with an attention of its own
    deform_groups: int = 8  # features that share offsets
    extraction_blocks: int = 5  # residual blocks on each frame
    reconstruction_blocks: int = 10  # residual blocks after the fusion
    channels: int = 3
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks

    @property
    def context(self) -> Context:
        """The window, and intra frames; with their own windows where they are predicted."""
        radius = self.frames // 2
        rule = IntraFrames(
            self.lookback,
            self.lookahead,
            radius=radius,
            frames=self.candidates,
            around=radius if self.intra == "predicted" else 0,
        )
        return Context(multiple=4, outputs=("offsets", "intra"), references=rule)

    def setup(self) -> None:
        """The network; in stage 2 also that of stage 1, as ``first``."""
        self.main = self._network()
        if self.intra == "predicted":
            self.first = self._network()

    def enhance(self, windows: Windows, side: Side = Side(), *, train: bool = False) -> Outputs:
        """The relevance, the intra frame, then EDVR with its textures."""
        near = windows[:, : self.frames]
        around = windows[:, self.frames :]
        around = around.reshape(len(windows), self.candidates, -1, *windows.shape[2:])
        middle = around.shape[2] // 2
        match = self.main.match(near[:, self.frames // 2], around[:, :, middle])
        chosen = jax.vmap(lambda x, i: x[i])(around, match.chosen)
        intra = chosen[:, middle]
        if self.intra == "predicted":
            itself = self.first.match(intra, intra[:, None])
            predicted, _ = self.first(chosen, itself, intra)
            intra = lax.stop_gradient(jnp.clip(predicted, 0, 1))
        picture, offsets = self.main(near, match, intra)
        return {"picture": picture, "offsets": offsets, "intra": intra}

    def _network(self) -> IntraEDVR:
        return IntraEDVR(
            self.features,
            self.deform_groups,
            self.extraction_blocks,
            self.reconstruction_blocks,
            self.channels,
            self.relevance,
            self.fusion,
            self.remat,
        )
