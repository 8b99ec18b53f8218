"""AR-CNN: four convolutions against compression artifacts.

Dong et al., "Compression Artifacts Reduction by a Deep Convolutional Network", ICCV 2015. The paper
and the NTIRE 2021 baseline give the picture directly; PowerQE adds the frame.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.models import Context, FrameNetwork, Side
from vqe_jax.nn.layers import Conv

__all__ = ["ARCNN"]


class ARCNN(FrameNetwork):
    """Feature extraction, enhancement, mapping and reconstruction."""

    channels: int = 3
    features: int = 64  # of the first layer; a half and a quarter in the next
    output: Literal["residual", "picture"] = "residual"  # what the last layer gives

    @property
    def context(self) -> Context:
        """Kernels of 9, 7, 1 and 5 pixels."""
        return Context(receptive_field=9)

    @nn.compact
    def enhance(
        self, frames: Float[Array, "n h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The enhanced frames."""
        x = frames
        for k, (shrink, size) in enumerate(((1, 9), (2, 7), (4, 1))):
            x = nn.relu(Conv(self.features // shrink, size, name=f"conv{k}")(x))
        x = Conv(self.channels, 5, name="conv3")(x)
        return frames + x if self.output == "residual" else x
