"""RCAN_A: residual channel attention on single frames (HNU_CVers, NTIRE 2021, track 1).

Report section 4.14 and the team's code: RCAN (Zhang et al., ECCV 2018) without enlarging, without
mean shift, on pixels from 0 to 255. The first half of :class:`~vqe_jax.models.rcvn.RCVN`.
"""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.models import Context, FrameNetwork, Side
from vqe_jax.nn.channel_attention import ResidualGroups
from vqe_jax.nn.layers import Conv

__all__ = ["RANGE", "RCANA"]

# Of the pixels inside: weights of the team are made for it.
RANGE = 255.0

# The code reduces to a quarter of a sixteenth: always four channels, whatever the width.
_HIDDEN = 4


class RCANA(FrameNetwork):
    """``groups`` groups of ``blocks`` residual channel attention blocks give the residual."""

    channels: int = 3
    features: int = 64
    groups: int = 5
    blocks: int = 16  # in a group
    remat: bool | None = None  # recompute each group in the backward pass; None: as memory asks

    @property
    def context(self) -> Context:
        """Channel attention looks at the whole frame."""
        return Context()

    @nn.compact
    def enhance(
        self, frames: Float[Array, "n h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The frames and their residuals."""
        x = Conv(self.features, name="conv_first")(frames * RANGE)
        x = ResidualGroups(self.groups, self.blocks, _HIDDEN, self.remat, name="trunk")(x)
        return frames + Conv(self.channels, name="conv_last")(x) / RANGE
