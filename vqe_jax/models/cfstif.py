"""CF-STIF: coarse-to-fine spatio-temporal information fusion.

Luo et al., "Coarse-to-Fine Spatio-Temporal Information Fusion for Compressed Video Quality
Enhancement", IEEE SPL 2022; code: xiaomingxige/CF-STIF. The window is
read as a volume by 3-D convolutions; features at full, half and quarter size, exchanged both ways,
predict the offsets of one deformable convolution over the frames. Three chained blocks of growing
reach enhance what it gives.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.nn.deform import DeformConv
from vqe_jax.nn.frame_windows import frame_stack
from vqe_jax.nn.layers import Conv, Conv3D, ConvTranspose
from vqe_jax.nn.remat import recomputed

__all__ = ["CFSTIF"]

Maps = Float[Array, "n h w f"]
Windows = Float[Array, "n k h w c"]

_KERNEL = 3  # of the deformable convolution


class CFSTIF(WindowNetwork):
    """Fuses ``2 * radius + 1`` frames by a deformable convolution, then enhances."""

    radius: int = 3  # neighbors on each side
    features: int = 64  # of the layers that predict offsets
    volume_features: int = 32  # of the 3-D convolutions, for each frame
    fused: int = 64  # features after the fusion
    qe_features: int = 64  # of the enhancement
    remat: bool | None = None  # recompute each part in the backward pass; None: where memory asks

    @property
    def context(self) -> Context:
        """A window; offsets make the receptive field unbounded."""
        return Context(past=self.radius, future=self.radius, multiple=4)

    @nn.compact
    def enhance(
        self, windows: Windows, side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The residual of the fused frames, added to the current one."""
        wrap = recomputed(self.remat)
        fusion = wrap(CoarseToFineFusion)(
            self.features, self.volume_features, self.fused, name="fusion"
        )
        enhancement = wrap(Enhancement)(self.qe_features, self.channels, name="enhancement")
        return windows[:, self.radius] + enhancement(fusion(windows))


class CoarseToFineFusion(nn.Module):
    """Offsets from three sizes, and the deformable convolution over the frames."""

    features: int
    volume_features: int
    out_features: int

    @nn.compact
    def __call__(self, windows: Windows) -> Maps:
        """Joins the frames of a window into features of the current one."""
        stack = frame_stack(windows)
        plan = Conv(3 * _KERNEL**2 * stack.shape[-1], name="offset_mask")(self._hidden(windows))
        count = 2 * _KERNEL**2 * stack.shape[-1]
        offset, mask = plan[..., :count], nn.sigmoid(plan[..., count:])
        deform = DeformConv(self.out_features, _KERNEL, stack.shape[-1], name="deform_conv")
        return nn.relu(deform(stack, offset, mask))

    def _hidden(self, windows: Windows) -> Maps:
        """What the offsets are predicted from: the three sizes upward, then their sum."""
        width = self.features
        full = self._flat_volume(windows)
        quarter = _Down(width, name="down2")(full)
        quarter = _Residual(width, name="residual4_in")(_Down(width, name="down4")(quarter))
        half = _Down(width, name="down1")(full) + ConvTranspose(width, name="up4_half")(quarter)
        half = _Residual(width, name="residual2_in")(half)
        full = _Residual(width, name="residual1")(
            full + ConvTranspose(width, name="up2_full")(half)
        )
        half = _Up(width, name="up2")(_Residual(width, name="residual2_out")(half))
        quarter = nn.relu(_Up(width, name="up4")(_Residual(width, name="residual4_out")(quarter)))
        return nn.relu(Conv(width, name="add")(full + half + _Up(width, name="up4_full")(quarter)))

    def _flat_volume(self, windows: Windows) -> Maps:
        """3-D features of all frames as channels: all of the first frame, then of the next."""
        x = nn.relu(Conv3D(self.volume_features, name="volume0")(windows))
        x = nn.relu(Conv3D(self.volume_features, name="volume1")(x))
        n, k, h, w, f = x.shape
        x = x.transpose(0, 2, 3, 1, 4).reshape(n, h, w, k * f)
        return nn.relu(Conv(self.features, 1, name="flatten")(x))


class _Down(nn.Module):
    """Half the size."""

    features: int

    @nn.compact
    def __call__(self, x: Maps) -> Float[Array, "n h2 w2 f"]:
        """Two convolutions, the first strided."""
        x = nn.relu(Conv(self.features, stride=2, padding=1, name="strided")(x))
        return nn.relu(Conv(self.features, name="conv")(x))


class _Up(nn.Module):
    """Twice the size; its result is not rectified."""

    features: int

    @nn.compact
    def __call__(self, x: Maps) -> Float[Array, "n h2 w2 f"]:
        """A transposed convolution and a convolution."""
        x = nn.relu(ConvTranspose(self.features, name="transposed")(x))
        return Conv(self.features, name="conv")(x)


class _Residual(nn.Module):
    """``relu(x + conv(relu(conv(x))))``."""

    features: int

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        y = nn.relu(Conv(self.features, name="conv1")(x))
        return nn.relu(x + Conv(self.features, name="conv2")(y))


class Enhancement(nn.Module):
    """Three chained blocks whose middle one works on what the first left over."""

    features: int
    channels: int  # of the picture

    @nn.compact
    def __call__(self, x: Maps) -> Float[Array, "n h w c"]:
        """The residual of the current frame."""
        x = Conv(self.features, name="conv_in")(x)
        first = _GrowingReach(self.features, name="block0")(x)
        second = x + _GrowingReach(self.features, name="block1")(x - first)
        third = _GrowingReach(self.features, name="block2")(second)
        joined = jnp.concatenate([x, first, second, third], axis=-1)
        y = nn.relu(Conv(self.features, name="conv")(Conv(self.features, name="join")(joined) + x))
        return Conv(self.channels, name="conv_last")(y)


class _GrowingReach(nn.Module):
    """Three convolutions in a row, and one that joins what went in and all that came out."""

    features: int

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Refines the features."""
        seen = [x]
        for k in range(3):
            seen.append(nn.relu(Conv(self.features, name=f"conv{k}")(seen[-1])))
        return Conv(self.features, name="join")(jnp.concatenate(seen, axis=-1))
