"""Gogoing's two stages: EDVR's alignment and fusion, then a U-Net of residual channel attention.

NTIRE 2021 (Yang et al., "NTIRE 2021 Challenge on Quality Enhancement of Compressed Video: Methods
and Results", CVPRW 2021), sec. 4.8 and Fig. 8. Never released; docs/decisions.md says what the text
leaves open.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, Outputs, Side, WindowNetwork
from vqe_jax.models.families import check_reduction
from vqe_jax.nn.channel_attention import ResidualGroup
from vqe_jax.nn.edvr import EDVRTrunk
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.residual import Upsample

__all__ = ["Gogoing", "ResUNet"]

Maps = Float[Array, "n h w f"]


class Gogoing(WindowNetwork):
    """A temporal stage over seven frames, a spatial stage on what it gives.

    Outputs: "offsets" of the alignment; with ``handed="picture"`` the first stage's, "stage1".
    """

    channels: int = 3
    frames: int = 7  # of a window, odd
    features: int = 64
    deform_groups: int = 8  # features that share offsets
    extraction_blocks: int = 5  # residual blocks on each frame
    levels: int = 3  # times that the U-Net halves the size
    blocks: int = 4  # residual channel attention blocks at each place of the U-Net
    reduction: int = 16  # channels to each of a channel attention's bottleneck
    widths: Literal["doubled", "same"] = "doubled"  # of the U-Net from level to level
    skips: Literal["concatenated", "added"] = "concatenated"  # of the U-Net
    handed: Literal["features", "picture"] = "features"  # from the first stage to the second
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    def __post_init__(self) -> None:
        check_reduction(self, self.features, "features")
        super().__post_init__()

    @property
    def context(self) -> Context:
        """A window; offsets and channel attention see the whole frame."""
        return Context(
            past=self.frames // 2,
            future=self.frames // 2,
            multiple=max(4, 2**self.levels),
            outputs=("offsets", *(("stage1",) if self.handed == "picture" else ())),
        )

    @nn.compact
    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Outputs:
        """The report's Fig. 8-(a), from left to right."""
        frame = windows[:, self.frames // 2]
        trunk = EDVRTrunk(
            self.features,
            self.deform_groups,
            self.extraction_blocks,
            reconstruction_blocks=0,
            remat=self.remat,
            name="temporal",
        )
        x, offsets = trunk(windows.astype(self.dtype))
        found: Outputs = {"offsets": offsets}
        if self.handed == "picture":
            frame = frame + Conv(self.channels, name="stage1_last")(x).astype(frame.dtype)
            found["stage1"] = frame
            x = leaky_relu(Conv(self.features, name="stage2_first")(frame.astype(self.dtype)))
        unet = ResUNet(
            self.features,
            self.levels,
            self.blocks,
            self.reduction,
            growth=2 if self.widths == "doubled" else 1,
            added=self.skips == "added",
            remat=self.remat,
            name="spatial",
        )
        picture = frame + Conv(self.channels, name="conv_last")(unet(x)).astype(frame.dtype)
        return {**found, "picture": picture}


class ResUNet(nn.Module):
    """A U-Net whose places are groups of residual channel attention blocks (Fig. 8-(c))."""

    features: int  # at full size
    levels: int  # times that the size is halved
    blocks: int  # at each place
    reduction: int  # channels to each of a gate's bottleneck
    growth: int = 2  # of the channels from level to level
    added: bool = False  # skips are added; otherwise joined as channels
    remat: bool | None = None  # recompute each place in the backward pass; None: where memory asks

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features; sides are multiples of ``2**levels``."""
        skips = []
        for level in range(self.levels):
            skips.append(x := self._place(x, f"down{level}"))
            width = self.features * self.growth ** (level + 1)
            x = Conv(width, stride=2, padding=1, name=f"strided{level}")(x)
        x = self._place(x, "bottom")
        for level in reversed(range(self.levels)):
            width = self.features * self.growth**level
            x = Upsample(width, name=f"shuffled{level}")(x)
            x = x + skips[level] if self.added else self._joined(x, skips[level], level)
            x = self._place(x, f"up{level}")
        return x

    def _joined(self, x: Maps, skip: Maps, level: int) -> Maps:
        both = jnp.concatenate([x, skip], axis=-1)
        return Conv(skip.shape[-1], 1, name=f"join{level}")(both)

    def _place(self, x: Maps, name: str) -> Maps:
        wrap = recomputed(self.remat)
        return wrap(ResidualGroup)(self.blocks, x.shape[-1] // self.reduction, name=name)(x)
