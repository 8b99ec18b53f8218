"""EDVR's blocks: a pyramid of features, alignment by deformable convolutions, attentive fusion.

Wang et al., "EDVR: Video Restoration with Enhanced Deformable Convolutional Networks", CVPRW 2019,
Fig. 3 (PCD) and Fig. 4 (TSA). Half of the systems of NTIRE 2021 are built of them.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.deform import DeformConv
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.predeblur import PreDeblur
from vqe_jax.nn.remat import recomputed
from vqe_jax.nn.residual import ResidualBlocks
from vqe_jax.ops.pool import average_pool
from vqe_jax.ops.resample import resize_bilinear

__all__ = [
    "DeformPack",
    "EDVRTrunk",
    "FeaturePyramid",
    "Levels",
    "Offsets",
    "PCDAlignment",
    "TSAFusion",
    "double",
]

Maps = Float[Array, "n h w f"]
Windows = Float[Array, "n k h w f"]
Coarser = Float[Array, "n h2 w2 f"]
# Of full, half and quarter size.
Levels = tuple[Array, Array, Array]
# Of each deformable convolution, by name, in pixels of its level: channels group, tap, (dy, dx).
Offsets = dict[str, Array]

_TAPS = 9


class FeaturePyramid(nn.Module):
    """Features at full, half and quarter size; sides are multiples of 4."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "*lead h w f"]) -> Levels:
        """The features themselves, and two levels by strided convolutions."""
        levels = [x]
        for level in ("l2", "l3"):
            x = leaky_relu(Conv(self.features, stride=2, padding=1, name=f"{level}_conv1")(x))
            x = leaky_relu(Conv(self.features, name=f"{level}_conv2")(x))
            levels.append(x)
        return levels[0], levels[1], levels[2]


class DeformPack(nn.Module):
    """A modulated deformable convolution whose offsets and mask come from other features.

    At first its offsets are zero and its mask is a half.
    """

    features: int
    deform_groups: int = 8  # consecutive channels share offsets

    @nn.compact
    def __call__(
        self, x: Float[Array, "n h w i"], guide: Float[Array, "n h w g"]
    ) -> tuple[Maps, Float[Array, "n h w o"]]:
        """Convolves.

        Returns:
          The result and the offsets: channels group, tap, (dy, dx), in pixels.
        """
        count = self.deform_groups * _TAPS
        zeros = nn.initializers.zeros
        plan = Conv(3 * count, kernel_init=zeros, bias_init=zeros, name="offset")(guide)
        offset, mask = plan[..., : 2 * count], nn.sigmoid(plan[..., 2 * count :])
        deform = DeformConv(self.features, 3, self.deform_groups, name="conv")
        return deform(x, offset, mask), offset


class PCDAlignment(nn.Module):
    """Pyramid, cascading and deformable alignment of a window's frames to one of them.

    The reference itself goes through it too. Parameters do not depend on the number of frames.
    """

    features: int
    deform_groups: int = 8
    reference: int | None = None  # position in the window; None: the middle

    @nn.compact
    def __call__(self, pyramid: Levels) -> tuple[Windows, Offsets]:
        """Aligns from coarse to fine, then once more at full size.

        Args:
          pyramid: features ``[n, k, h, w, f]`` at full, half and quarter size.

        Returns:
          Aligned features ``[n, k, h, w, f]``, and the offsets of the four deformable
          convolutions, ``[n, k, h, w, o]`` by the names l3, l2, l1 and cascade.
        """
        n, k = pyramid[0].shape[:2]
        flat = [level.reshape(-1, *level.shape[2:]) for level in pyramid]
        references = [_repeated(level, self.reference) for level in pyramid]
        offsets: dict[str, Any] = {}
        guide: Any = None
        feature: Any = None
        levels = list(zip(("l1", "l2", "l3"), flat, references, strict=True))
        for level, x, reference in levels[::-1]:
            guide = self._guide(level, jnp.concatenate([x, reference], axis=-1), guide)
            sampled, offsets[level] = self._deform(f"{level}_deform")(x, guide)
            feature = self._joined(level, sampled, feature)
        both = jnp.concatenate([feature, references[0]], axis=-1)
        guide = self._conv("cascade_offset2", self._conv("cascade_offset1", both))
        feature, offsets["cascade"] = self._deform("cascade_deform")(feature, guide)
        # Offsets in bfloat16 are no measure of anything.
        offsets = {
            name: x.reshape(n, k, *x.shape[1:]).astype(jnp.float32) for name, x in offsets.items()
        }
        return leaky_relu(feature).reshape(n, k, *feature.shape[1:]), offsets

    def _conv(self, name: str, x: Float[Array, "n h w i"]) -> Maps:
        return leaky_relu(Conv(self.features, name=name)(x))

    def _deform(self, name: str) -> DeformPack:
        return DeformPack(self.features, self.deform_groups, name=name)

    def _guide(self, level: str, both: Float[Array, "n h w i"], coarser: Coarser | None) -> Maps:
        """What a level's offsets are predicted from; ``coarser`` is that of the level below."""
        x = self._conv(f"{level}_offset1", both)
        if coarser is None:
            return self._conv(f"{level}_offset2", x)
        # Pixels of the finer level are half as large: motion in it is twice as far.
        x = jnp.concatenate([x, 2 * double(coarser)], axis=-1)
        return self._conv(f"{level}_offset3", self._conv(f"{level}_offset2", x))

    def _joined(self, level: str, sampled: Maps, coarser: Coarser | None) -> Maps:
        if coarser is None:
            return leaky_relu(sampled)
        x = jnp.concatenate([sampled, double(coarser)], axis=-1)
        x = Conv(self.features, name=f"{level}_feature")(x)
        return x if level == "l1" else leaky_relu(x)


class TSAFusion(nn.Module):
    """Temporal and spatial attention: joins aligned frames; sides are multiples of 4."""

    features: int
    reference: int | None = None  # position in the window; None: the middle

    @nn.compact
    def __call__(self, aligned: Windows) -> Maps:
        """Weighs each frame by its likeness to the reference, joins them, weighs each place."""
        middle = aligned.shape[1] // 2 if self.reference is None else self.reference
        reference = Conv(self.features, name="temporal_reference")(aligned[:, middle])
        frames = Conv(self.features, name="temporal_frames")(aligned)
        likeness = nn.sigmoid(jnp.sum(frames * reference[:, None], axis=-1, keepdims=True))
        stack = _stacked(aligned * likeness)
        fused = self._conv("fusion", stack, 1)
        attention = self._spatial(
            self._conv("spatial1", stack, 1), (fused.shape[1], fused.shape[2])
        )
        added = self._conv("add1", attention, 1)
        added = Conv(self.features, 1, name="add2")(added)
        # Twice the sigmoid is about one at first.
        return fused * nn.sigmoid(attention) * 2 + added

    def _spatial(self, x: Maps, size: tuple[int, int]) -> Maps:
        """Attention before its sigmoid, from half and quarter size."""
        half = self._conv("spatial2", _pooled(x), 1)
        level = self._conv("level1", half, 1)
        level = self._conv("level3", self._conv("level2", _pooled(level), 3), 3)
        half = self._conv("spatial3", half, 3) + resize_bilinear(
            level, (half.shape[1], half.shape[2])
        )
        half = self._conv("spatial4", half, 1)
        return Conv(self.features, name="spatial5")(resize_bilinear(half, size))

    def _conv(self, name: str, x: Float[Array, "n h w i"], size: int) -> Maps:
        return leaky_relu(Conv(self.features, size, name=name)(x))


class EDVRTrunk(nn.Module):
    """EDVR from the frames of a window to refined features of one of them."""

    features: int
    deform_groups: int = 8
    extraction_blocks: int = 5  # residual blocks on each frame
    reconstruction_blocks: int = 10  # residual blocks after the fusion
    tsa: bool = True  # fuse by attention; False: by a 1x1 convolution
    strided: bool = False  # work at a quarter of the size: sides are multiples of 16, not of 4
    reference: int | None = None  # position in the window; None: the middle
    predeblur: bool = False  # with strided: enter by a pyramid that mends each frame
    remat: bool | None = False  # recompute each part in the backward pass

    def setup(self) -> None:
        """What is done to each frame, then what joins them."""
        wrap = recomputed(self.remat)
        if self.predeblur:
            self.entry, self.entry_last = PreDeblur(self.features), Conv(self.features, 1)
        elif self.strided:
            self.conv_down1 = Conv(self.features, stride=2, padding=1)
            self.conv_down2 = Conv(self.features, stride=2, padding=1)
        else:
            self.conv_first = Conv(self.features)
        self.extraction = wrap(ResidualBlocks)(self.features, self.extraction_blocks)
        self.pyramid = FeaturePyramid(self.features)
        self.alignment = wrap(PCDAlignment)(self.features, self.deform_groups, self.reference)
        fuse: Any = TSAFusion(self.features, self.reference) if self.tsa else Conv(self.features, 1)
        self.fusion = fuse
        self.reconstruction = wrap(ResidualBlocks)(self.features, self.reconstruction_blocks)

    def __call__(
        self, windows: Float[Array, "n k h w c"]
    ) -> tuple[Float[Array, "n h2 w2 f"], Offsets]:
        """Features of the reference, and the offsets of :class:`PCDAlignment`."""
        return self.join(self.extract(windows))

    def extract(self, frames: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h2 w2 f"]:
        """Features of each frame by itself."""
        x = frames.reshape(-1, *frames.shape[-3:])
        x = self.extraction(self._entered(x))
        return x.reshape(*frames.shape[:-3], *x.shape[1:])

    def _entered(self, x: Float[Array, "m h w c"]) -> Float[Array, "m h2 w2 f"]:
        if self.predeblur:
            return self.entry_last(self.entry(x))
        for conv in [self.conv_down1, self.conv_down2] if self.strided else [self.conv_first]:
            x = leaky_relu(conv(x))
        return x

    def join(self, features: Windows) -> tuple[Maps, Offsets]:
        """Features of the reference out of those of all frames, and the offsets."""
        aligned, offsets = self.alignment(self.pyramid(features))
        x = self.fusion(aligned if self.tsa else _stacked(aligned))
        return self.reconstruction(x), offsets


def double(x: Float[Array, "*lead h w f"]) -> Float[Array, "*lead h2 w2 f"]:
    """Maps at twice their size, by bilinear interpolation."""
    return resize_bilinear(x, (2 * x.shape[-3], 2 * x.shape[-2]))


def _repeated(level: Windows, reference: int | None) -> Float[Array, "m h w f"]:
    """The reference's features once for every frame of the window."""
    middle = level.shape[1] // 2 if reference is None else reference
    one = level[:, middle : middle + 1]
    return jnp.broadcast_to(one, level.shape).reshape(-1, *level.shape[2:])


def _stacked(x: Windows) -> Float[Array, "n h w s"]:
    """Frames one after the other along the channels."""
    n, k, h, w, f = x.shape
    return x.transpose(0, 2, 3, 1, 4).reshape(n, h, w, k * f)


def _pooled(x: Maps) -> Float[Array, "n h2 w2 g"]:
    """Largest and mean values at half the size."""
    largest = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
    return jnp.concatenate([largest, average_pool(x, 3, stride=2, padding=1)], axis=-1)
