"""Deformable convolution as a layer, with the offsets laid out as PyTorch's networks have them."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float

from vqe_jax.nn.initializers import uniform_fan_in
from vqe_jax.ops.deform import deform_conv2d, offsets_from_torch

__all__ = ["DeformConv"]


class DeformConv(nn.Module):
    """A modulated deformable convolution that keeps the size of odd kernels at stride 1."""

    features: int  # output channels
    kernel_size: int = 3  # odd
    offset_groups: int = 1  # consecutive input channels share offsets
    kernel_init: Initializer | None = None  # None: uniform over the fan-in, as in PyTorch

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "b h w c"],
        offset: Float[Array, "b h w n"],
        mask: Float[Array, "b h w m"] | None = None,
    ) -> Float[Array, "b h w f"]:
        """Convolves.

        Args:
          x: what is sampled.
          offset: channels group, tap, (dy, dx), in pixels.
          mask: channels group, tap; None for ones.
        """
        size, groups = self.kernel_size, self.offset_groups
        kernel = self.param(
            "kernel",
            self.kernel_init or uniform_fan_in(),
            (size, size, x.shape[-1], self.features),
        )
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        if mask is not None:
            mask = mask.reshape(*mask.shape[:3], groups, size**2)
        y = deform_conv2d(
            x,
            offsets_from_torch(offset, groups),
            jnp.asarray(kernel, x.dtype),
            mask,
            padding=size // 2,
        )
        return y + jnp.asarray(bias, x.dtype)[None, None, None]
