"""Deformable convolution as a layer, with the offsets laid out as PyTorch's networks have them."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer
from jaxtyping import Array, Float

from vqe_jax.nn.initializers import uniform_fan_in
from vqe_jax.ops.deform import deform_conv2d, offsets_from_torch

__all__ = ["DeformConv"]


class DeformConv(nn.Module):
    """A modulated deformable convolution that keeps the size of odd kernels at stride 1.

    Where the collection "metrics" is mutable, as in training, the largest and the mean size of the
    offsets are sown there as ``offset_max`` and ``offset_mean``. Deformable alignment is known to
    collapse when offsets run away: beyond about 100 pixels nothing inside the frame is sampled any
    more.
    """

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
          offset: channels group, tap, (dy, dx), in pixels.
          mask: channels group, tap; None for ones.
        """
        size, groups = self.kernel_size, self.offset_groups
        self._log_reach(offset)
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

    def _log_reach(self, offset: Float[Array, "b h w n"]) -> None:
        if not self.is_mutable_collection("metrics") or self.is_initializing():
            return
        reach = jnp.abs(jax.lax.stop_gradient(offset).astype(jnp.float32))
        self.sow("metrics", "offset_max", jnp.max(reach))
        self.sow("metrics", "offset_mean", jnp.mean(reach))
