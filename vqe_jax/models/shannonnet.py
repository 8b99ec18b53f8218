"""ShannonNet: frames of higher quality aligned by a U-Net, and three stages of MPRNet (NTIRE 2021).

Shannon team; Yang et al., "NTIRE 2021 Challenge on Quality Enhancement of Compressed Video: Methods
and Results", CVPRW 2021, sec. 4.6 and Fig. 6. The first two stages work on quarters and halves of
the current frame, the third on the whole and on its aligned neighbors.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.models import Context, Outputs, Side, WindowNetwork
from vqe_jax.models.references import NearestMultiples
from vqe_jax.nn.feature_aggregation import MIN_SIDE, NestedResiduals
from vqe_jax.nn.layers import Conv, PReLU
from vqe_jax.nn.mprnet import (
    LEVELS,
    Decoder,
    Encoder,
    Levels,
    SupervisedAttention,
    bare,
    channel_attention_block,
    rise,
)
from vqe_jax.nn.unet_alignment import UNetAlignment, Widths

__all__ = ["ShannonNet"]

Frames = Float[Array, "n h w c"]
Maps = Float[Array, "n h w f"]

_FRAME_FEATURES = 24
_FRAME_GROUPS = 2
_FEWEST = 8  # features that a dilated block can be divided into branches
_GROUP_OF_PICTURES = 4


class ShannonNet(WindowNetwork):
    """The current frame between the two frames of higher quality around it.

    Outputs "stage1" and "stage2": the pictures of the first two stages; "offsets": those of the two
    alignments, ``[b, t, 2, h, w, 18]`` in pixels.
    """

    channels: int = 3
    features: int = 80  # at full size
    unet_features: int = 48  # more at each coarser level
    orsnet_features: int = 32  # more in the last stage
    reduction: int = 4  # channels to each of a channel attention's bottleneck
    alignment_widths: Widths = (64, 64, 128, 256, 256)  # of the U-Net, from full size down
    groups: int = 4  # of four dilated blocks, at each of three places in the last stage
    remat: bool | None = None  # recompute the last groups; None: where memory asks

    def __post_init__(self) -> None:
        if len(self.alignment_widths) != 5:
            raise UserError(
                f"ShannonNet: alignment_widths={self.alignment_widths} has "
                f"{len(self.alignment_widths)} entries; expected 5, from full to sixteenth size"
            )
        ends = self.alignment_widths[0], self.alignment_widths[-1]
        fewest = min(*ends, self.features + self.orsnet_features)
        if fewest < _FEWEST or self.reduction > self.features:
            raise UserError(
                f"ShannonNet: features={self.features}, orsnet_features={self.orsnet_features}, "
                f"alignment_widths={self.alignment_widths}, reduction={self.reduction} are too "
                f"narrow; expected at least {_FEWEST} features in the last stage and at both ends "
                "of the U-Net, and no larger reduction than features"
            )
        super().__post_init__()

    @property
    def context(self) -> Context:
        """The nearest frames of higher quality; offsets make the receptive field unbounded."""
        reach = _GROUP_OF_PICTURES
        return Context(
            multiple=2**LEVELS,
            min_side=MIN_SIDE + 1,
            outputs=("stage1", "stage2", "offsets"),
            references=NearestMultiples(reach, reach, reach),
        )

    @nn.compact
    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Outputs:
        """Three stages, each with its picture.

        Args:
          windows: the neighbor that is nearer, the current frame, the other neighbor.
        """
        act = PReLU(name="activation")  # one slope for all blocks
        frame = windows[:, 1]
        aligned, offsets = self._aligned(windows, train)
        halves = jnp.concatenate(jnp.split(frame, 2, axis=1))
        attended, stage1, encoded, decoded = self._stage1(halves, act)
        x = self._shallow("shallow2", halves, act)
        x = jnp.concatenate([x, attended], axis=-1)
        x = Conv(self.features, use_bias=False, name="concat12")(x)
        encoded = [_stacked(y) for y in self._encoder("2", act)(x, (encoded, decoded))]
        decoded = self._decoder("2", act)(encoded)
        attended, stage2 = SupervisedAttention(name="attention23")(decoded[0], frame)
        x = self._shallow("shallow3", aligned, act)
        x = jnp.concatenate([x, attended], axis=-1)
        x = Conv(self.features + self.orsnet_features, use_bias=False, name="concat23")(x)
        x = self._stage3(x, encoded, decoded)
        picture = frame + Conv(self.channels, use_bias=False, name="tail")(x)
        if self.is_initializing():  # held by the released weights, read by nothing
            _AtFullSize(self.groups, name="unread")(
                jnp.zeros((1, 16, 16, self.alignment_widths[0]))
            )
        pictures = {"picture": picture, "stage1": _stacked(stage1), "stage2": stage2}
        return {**pictures, "offsets": offsets}

    def _encoder(self, stage: str, act: PReLU) -> Encoder:
        return Encoder(
            self.features, self.unet_features, self.reduction, act, name=f"encoder{stage}"
        )

    def _decoder(self, stage: str, act: PReLU) -> Decoder:
        return Decoder(
            self.features, self.unet_features, self.reduction, act, name=f"decoder{stage}"
        )

    def _shallow(self, name: str, x: Float[Array, "m h w i"], act: PReLU) -> Maps:
        x = Conv(self.features, use_bias=False, name=name)(x)
        return channel_attention_block(self.features, self.reduction, act, f"{name}_block")(x)

    def _aligned(
        self, windows: Float[Array, "n k h w c"], train: bool
    ) -> tuple[Float[Array, "n h w g"], Float[Array, "n 2 h w o"]]:
        """Features of the three frames, those of the neighbors aligned, side by side."""
        n = windows.shape[0]
        x = Conv(_FRAME_FEATURES, 1, name="frame_head")(windows.reshape(-1, *windows.shape[2:]))
        x = NestedResiduals(_FRAME_GROUPS, name="frame_body")(x)
        x = x.reshape(n, -1, *x.shape[1:])
        neighbors = jnp.concatenate([x[:, 0], x[:, 2]])
        align = UNetAlignment(self.alignment_widths, name="alignment")
        aligned, offsets = align(neighbors, jnp.concatenate([x[:, 1], x[:, 1]]), train=train)
        stack = jnp.concatenate([aligned[:n], x[:, 1], aligned[n:]], axis=-1)
        return stack, jnp.stack([offsets[:n], offsets[n:]], axis=1)

    def _stage1(self, halves: Frames, act: PReLU) -> tuple[Maps, Frames, Levels, Levels]:
        """Quarters up to the encoder, halves (the upper ones first) from there."""
        quarters = jnp.concatenate(jnp.split(halves, 2, axis=2))
        levels = self._encoder("1", act)(self._shallow("shallow1", quarters, act))
        encoded = [jnp.concatenate(jnp.split(x, 2), axis=2) for x in levels]
        decoded = self._decoder("1", act)(encoded)
        attended, picture = SupervisedAttention(name="attention12")(decoded[0], halves)
        return attended, picture, encoded, decoded

    def _stage3(self, x: Maps, encoded: Levels, decoded: Levels) -> Maps:
        """At full size; what the second stage has found at each level is added."""
        width = self.features + self.orsnet_features
        for level in range(LEVELS):
            x = _AtFullSize(self.groups, self.remat, name=f"stage3_{level}")(x)
            for name, levels in (("encoded", encoded), ("decoded", decoded)):
                y = levels[level]
                for finer in reversed(range(level)):
                    wide = self.features + finer * self.unet_features
                    y = rise(y, wide, f"{name}{level}_up{finer}")
                x = x + bare(width, f"{name}{level}")(y)
        return x


class _AtFullSize(nn.Module):
    """Dilated groups and a 1x1 convolution beside a skip."""

    groups: int
    remat: bool | None = None

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        body = NestedResiduals(self.groups, dilated=True, remat=self.remat, name="body")
        return x + Conv(x.shape[-1], 1, name="tail")(body(x))


def _stacked(x: Float[Array, "m h w f"]) -> Float[Array, "n h2 w f"]:
    """Upper halves, then lower halves, as whole maps."""
    return jnp.concatenate(jnp.split(x, 2), axis=1)
