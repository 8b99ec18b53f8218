"""Features in three bands of frequency, refined from low to high, as OVQE has them.

Peng et al., "OVQE: Omniscient Network for Compressed Video Quality Enhancement", IEEE TBC 2022.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.channel_attention import ChannelAttention
from vqe_jax.nn.layers import Conv, PReLU, leaky_relu
from vqe_jax.ops.resample import resize_bilinear

__all__ = ["FrequencyBlock", "Merge"]

Maps = Float[Array, "b h w f"]

_LEAST_HIDDEN = 4  # channels of a merge's bottleneck


class Merge(nn.Module):
    """Selective kernel fusion of two maps: a weighted mean whose weights both decide together."""

    reduction: int = 8  # channels to each of the bottleneck, which has at least 4

    @nn.compact
    def __call__(self, first: Maps, second: Maps) -> Maps:
        """Merges the maps; the weights sum to one in each channel."""
        features = first.shape[-1]
        hidden = max(features // self.reduction, _LEAST_HIDDEN)
        mean = jnp.mean(first + second, axis=(1, 2), keepdims=True)
        code = PReLU(name="prelu")(Conv(hidden, 1, use_bias=False, name="squeeze")(mean))
        scores = [Conv(features, 1, use_bias=False, name=f"excite{i}")(code) for i in (0, 1)]
        share = nn.sigmoid(scores[0] - scores[1])  # a softmax of two
        return first * share + second * (1 - share)


class FrequencyBlock(nn.Module):
    """Bands at full, half and quarter size, merged upward, gated, added to what came in.

    Sides are multiples of 4.
    """

    features: int
    attention_reduction: int = 32  # channels to each of the gate's bottleneck
    merge_reduction: int = 8  # the same of the merges
    narrow: bool = False  # what comes in has other channels, which a 1x1 convolution makes fit

    @nn.compact
    def __call__(self, x: Float[Array, "b h w g"]) -> Maps:
        """Refines the features."""
        high = self._conv(x, "high")
        mid = self._conv(x, "mid", stride=2)
        low = self._conv(x, "low", stride=4)
        # What a band holds that the one below does not.
        bands = (mid - _twice(low), high - _twice(mid))
        y = self._conv(low, "refine2")
        for i, band in enumerate(bands):
            y = Merge(self.merge_reduction, name=f"merge{i}")(_twice(y), band)
            y = self._conv(y, f"refine{1 - i}")
        y = ChannelAttention(self.features // self.attention_reduction, name="attention")(y)
        return y + (Conv(self.features, 1, name="narrow")(x) if self.narrow else x)

    def _conv(
        self, x: Float[Array, "b h w g"], name: str, stride: int = 1
    ) -> Float[Array, "b h2 w2 f"]:
        return leaky_relu(Conv(self.features, stride=stride, padding=1, name=name)(x))


def _twice(x: Maps) -> Float[Array, "b h2 w2 f"]:
    """Twice the size; corners stay where they are."""
    return resize_bilinear(x, (2 * x.shape[1], 2 * x.shape[2]), align_corners=True)
