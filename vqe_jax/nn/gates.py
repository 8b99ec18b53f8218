"""Gates: features multiplied by numbers between 0 and 1 that they decide themselves."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.nn.initializers import uniform_bias
from vqe_jax.nn.layers import Conv

__all__ = ["EfficientChannelGate", "SpatialGate"]

Maps = Float[Array, "b h w c"]

_REACH = 1  # channels on either side that a channel's gate looks at


class EfficientChannelGate(nn.Module):
    """Multiplies each channel by a gate that its mean and its neighbors' decide.

    Wang et al., "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks", CVPR
    2020: three weights, whatever the width.
    """

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Gates the features."""
        size = 2 * _REACH + 1
        kernel = self.param("kernel", uniform_bias(size), (size,)).astype(x.dtype)
        means = jnp.mean(x, axis=(1, 2))
        filtered = lax.conv_general_dilated(
            means[:, :, None],
            kernel[:, None, None],
            (1,),
            [(_REACH, _REACH)],
            dimension_numbers=("NWC", "WIO", "NWC"),
        )
        return x * nn.sigmoid(filtered[:, None, None, :, 0])


class SpatialGate(nn.Module):
    """Multiplies each place by a gate of at least a half.

    CBAM's spatial attention (Woo et al., ECCV 2018, sec. 3) with the ReLU that its convolution has
    in the original code.
    """

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        """Gates the features by their largest and mean value over the channels."""
        largest = jnp.max(x, axis=-1, keepdims=True)
        both = jnp.concatenate([largest, jnp.mean(x, axis=-1, keepdims=True)], axis=-1)
        return x * nn.sigmoid(nn.relu(Conv(1, 7, use_bias=False, name="conv")(both)))
