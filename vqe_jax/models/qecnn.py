"""QE-CNN: two branches of convolutions, for what intra and inter coding have left.

Yang et al., "Enhancing Quality for HEVC Compressed Videos", TCSVT 2018, as the baseline of NTIRE
2021 has it: RGB, the frame added to what the last layer gives.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, FrameNetwork, Side
from vqe_jax.nn.layers import Conv, PReLU

__all__ = ["QECNN"]

# Side of each layer's kernels, and by what the first layer's width is divided.
_LAYERS = ((9, 1), (7, 2), (3, 2), (1, 4))


class QECNN(FrameNetwork):
    """The second branch reads, layer by layer, what the first has found beside its own."""

    channels: int = 3
    features: int = 128  # of each branch's first layer

    @property
    def context(self) -> Context:
        """Kernels of 9, 7, 3, 1 and 5 pixels."""
        return Context(receptive_field=10)

    @nn.compact
    def enhance(
        self, frames: Float[Array, "n h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The frames and their residuals."""
        intra, both = frames, frames
        for k, (size, shrink) in enumerate(_LAYERS):
            width = self.features // shrink
            intra = self._layer(f"intra{k}", width, size, intra)
            inter = self._layer(f"inter{k}", width, size, both)
            both = jnp.concatenate([intra, inter], axis=-1)
        return frames + Conv(self.channels, 5, name="last")(both)

    def _layer(
        self, name: str, width: int, size: int, x: Float[Array, "n h w i"]
    ) -> Float[Array, "n h w o"]:
        x = Conv(width, size, name=name)(x)
        return PReLU(per_channel=True, name=f"{name}_prelu")(x)
