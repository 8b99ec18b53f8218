"""QENet of the NJU-Vision team (NTIRE 2021, section 4.9, Fig. 9): progressive alignment, TSA.

The offsets of one deformable convolution are predicted by a small U-Net over the features of a
frame and of the current one; the alignment is run twice with the same weights, the second time on
what the first has aligned. The report has a sketch alone; layers are those of the released code.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, Outputs, Side, WindowNetwork
from vqe_jax.models.edvr import apart, beside
from vqe_jax.nn.edvr import DeformPack, TSAFusion, double
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.residual import ResidualBlocks

__all__ = ["ProgressiveAlignment", "QENet"]

Maps = Float[Array, "n h w f"]
_PASSES = 2
_SLOPE = 0.1  # inside the residual blocks too


class ProgressiveAlignment(nn.Module):
    """Aligns features to a reference's by one deformable convolution; sides are multiples of 4."""

    features: int
    deform_groups: int = 8
    blocks: int = 4  # residual blocks after each convolution of the U-Net

    @nn.compact
    def __call__(self, x: Maps, reference: Maps) -> tuple[Maps, Float[Array, "n h w o"]]:
        """The features aligned, and the offsets in pixels: channels group, tap, (dy, dx)."""
        full = self._level("down1", jnp.concatenate([x, reference], axis=-1))
        half = self._level("down2", full, stride=2)
        quarter = self._level("down3", half, stride=2)
        up = self._refined("up2", double(quarter) + half)
        up = self._refined("up1", double(up) + full)
        pack = DeformPack(self.features, self.deform_groups, name="deform")
        aligned, offset = pack(x, up)
        return leaky_relu(aligned), offset

    def _level(self, name: str, x: Float[Array, "n h w i"], stride: int = 1) -> Array:
        conv = Conv(self.features, stride=stride, padding=1, name=f"{name}_conv")
        return self._refined(name, leaky_relu(conv(x)))

    def _refined(self, name: str, x: Maps) -> Maps:
        blocks = ResidualBlocks(self.features, self.blocks, _SLOPE, name=f"{name}_blocks")
        return blocks(x)


class QENet(WindowNetwork):
    """Aligns seven frames progressively, fuses them by attention, adds a residual to the middle.

    Output "offsets": of both passes, ``[b, t, k, h, w, o]`` in pixels, as pass1 and pass2.
    """

    features: int = 128
    frames: int = 7  # of a window, odd
    deform_groups: int = 8  # features that share offsets
    extraction_blocks: int = 8  # residual blocks on each frame; half as many in the alignment
    reconstruction_blocks: int = 16  # residual blocks after the fusion
    channels: int = 3
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks
    dtype: str = "float32"  # of the computation; frames and positions stay float32

    @property
    def context(self) -> Context:
        """A window; offsets make the receptive field unbounded."""
        radius = self.frames // 2
        return Context(past=radius, future=radius, multiple=4, outputs=("offsets",))

    def setup(self) -> None:
        """Extraction, alignment, fusion, reconstruction."""
        blocks = recomputed(self.remat)(ResidualBlocks)
        alignment = recomputed(self.remat)(ProgressiveAlignment)
        self.conv_first = Conv(self.features)
        self.extraction = blocks(self.features, self.extraction_blocks, _SLOPE)
        self.alignment = alignment(self.features, self.deform_groups, self.extraction_blocks // 2)
        self.fusion = TSAFusion(self.features)
        self.reconstruction = blocks(self.features, self.reconstruction_blocks, _SLOPE)
        self.conv_out = Conv(self.channels)

    def each_frame(self, frames: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h w f"]:
        """The frames, and the features of each beside them."""
        flat = frames.reshape(-1, *frames.shape[-3:]).astype(self.dtype)
        x = self.extraction(leaky_relu(self.conv_first(flat)))
        return beside(frames, x.reshape(*frames.shape[:-1], self.features))

    def fuse(
        self, made: Float[Array, "n k h w f"], side: Side = Side(), *, train: bool = False
    ) -> Outputs:
        """The residual of the fused features, added to the middle frame."""
        frames, features = apart(made, self.features)
        features = features.astype(self.dtype)
        n, k = features.shape[:2]
        middle = features[:, k // 2 : k // 2 + 1]
        reference = jnp.broadcast_to(middle, features.shape).reshape(-1, *features.shape[2:])
        x = features.reshape(reference.shape)
        offsets = {}
        for number in range(_PASSES):
            x, offset = self.alignment(x, reference)
            offset = offset.reshape(n, k, *offset.shape[1:]).astype(jnp.float32)
            offsets[f"pass{number + 1}"] = offset
        fused = self.fusion(x.reshape(features.shape))
        fused = fused + self.reconstruction(fused)
        frame = frames[:, k // 2]
        picture = frame + self.conv_out(fused).astype(frame.dtype)
        return {"picture": picture, "offsets": offsets}
