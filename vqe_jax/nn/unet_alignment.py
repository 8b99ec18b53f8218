"""Alignment by a deformable convolution whose offsets a U-Net predicts, as ShannonNet does it.

Yang et al., "NTIRE 2021 Challenge on Quality Enhancement of Compressed Video: Methods and Results",
CVPRW 2021, sec. 4.6; the layers are those of the released code.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.batch_norm import BatchNorm
from vqe_jax.nn.deform import DeformConv
from vqe_jax.nn.feature_aggregation import DilatedBlock
from vqe_jax.nn.layers import Conv
from vqe_jax.ops.resample import resize_bilinear

__all__ = ["UNetAlignment", "Widths"]

Maps = Float[Array, "b h w f"]
# Channels at full, half, quarter, eighth and sixteenth size.
Widths = tuple[int, int, int, int, int]

_TAPS = 9
_REACH = 64.0  # pixels that an offset can be long


class UNetAlignment(nn.Module):
    """Samples the features of a frame where they match those of another.

    All channels share offsets; these end at 64 pixels.
    """

    widths: Widths

    @nn.compact
    def __call__(
        self, x: Maps, reference: Maps, *, train: bool
    ) -> tuple[Maps, Float[Array, "b h w o"]]:
        """Aligns.

        Args:
          x: features to be sampled, sides of at least 16 pixels.

        Returns:
          The aligned features and the offsets: channels tap, (dy, dx), in pixels.
        """
        hidden = self._unet(jnp.concatenate([x, reference], axis=-1), train)
        hidden = nn.relu(Conv(self.widths[0], 1, name="out")(hidden))
        plan = Conv(3 * _TAPS, name="offset")(hidden)
        offset = jnp.clip(plan[..., : 2 * _TAPS], -_REACH, _REACH)
        mask = nn.sigmoid(plan[..., 2 * _TAPS :])
        return nn.relu(DeformConv(x.shape[-1], name="deform")(x, offset, mask)), offset

    def _unet(self, x: Float[Array, "b h w g"], train: bool) -> Maps:
        skips: list[Array] = []
        for level, width in enumerate(self.widths):
            x = nn.max_pool(x, (2, 2), (2, 2)) if level else x
            x = _Double(width, width, name=f"down{level}")(x, train=train)
            skips.append(x)
        for k in range(2):
            x = DilatedBlock(channel=True, name=f"bottom{k}")(x)
        for level in reversed(range(len(self.widths) - 1)):
            skip = skips[level]
            x = jnp.concatenate([skip, _raised(x, (skip.shape[1], skip.shape[2]))], axis=-1)
            width = self.widths[max(level - 1, 0)]
            x = _Double(x.shape[-1] // 2, width, name=f"up{level}")(x, train=train)
        return x


class _Double(nn.Module):
    """Twice a convolution, batch normalization and ReLU."""

    hidden: int
    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "b h w i"], *, train: bool) -> Maps:
        """Maps features."""
        for k, width in enumerate((self.hidden, self.features), 1):
            x = Conv(width, name=f"conv{k}")(x)
            x = nn.relu(BatchNorm(name=f"norm{k}")(x, train=train))
        return x


def _raised(x: Maps, size: tuple[int, int]) -> Float[Array, "b h2 w2 f"]:
    """Twice the size, and zeros around it where pooling had dropped a row or a column."""
    x = resize_bilinear(x, (2 * x.shape[1], 2 * x.shape[2]), align_corners=True)
    missing = [size[0] - x.shape[1], size[1] - x.shape[2]]
    return jnp.pad(x, [(0, 0), *[(n // 2, n - n // 2) for n in missing], (0, 0)])
