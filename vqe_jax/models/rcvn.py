"""RCVN: frames enhanced one by one, then five of them joined (HNU_CVers, NTIRE 2021, track 1).

Report section 4.14 and the team's code. Each frame goes through RCAN_A; each enhanced neighbor is
compared with the enhanced current frame; EDVR's attention joins the pairs; a second RCAN refines.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.models.rcan_a import RANGE, RCANA
from vqe_jax.nn.channel_attention import ResidualGroups
from vqe_jax.nn.edvr import TSAFusion
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.residual import ResidualBlocks

__all__ = ["RCVN"]

_PAIR_BLOCKS = 5
# By which the second RCAN's gates reduce their channels; the first always has four.
_REDUCTION = 16


class RCVN(WindowNetwork):
    """RCAN_A on five frames, attention over them, RCAN on what they make together."""

    channels: int = 3
    features: int = 64
    groups: int = 5  # of each of the two RCANs
    blocks: int = 16  # in a group
    radius: int = 2  # neighbors on each side
    remat: bool | None = None  # recompute each group in the backward pass; None: as memory asks

    @property
    def context(self) -> Context:
        """Channel attention looks at the whole frame, the fusion at a quarter of its size."""
        return Context(past=self.radius, future=self.radius, multiple=4)

    def setup(self) -> None:
        """Both networks and what joins them."""
        self.rcan_a = RCANA(
            self.channels, self.features, self.groups, self.blocks, remat=self.remat
        )
        self.pair = Conv(self.features)
        self.pair_blocks = ResidualBlocks(self.features, _PAIR_BLOCKS)
        self.fusion = TSAFusion(self.features)
        hidden = max(self.features // _REDUCTION, 1)
        self.trunk = ResidualGroups(self.groups, self.blocks, hidden, self.remat)
        self.conv_last = Conv(self.channels)

    def each_frame(self, frames: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h w c"]:
        """The frames enhanced by RCAN_A."""
        flat = frames.reshape(-1, *frames.shape[-3:])
        return self.rcan_a.enhance(flat).reshape(frames.shape)

    def fuse(
        self, made: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The residual of the joined frames, added to the current one as RCAN_A has made it."""
        current = made[:, self.radius]
        pairs = jnp.concatenate([jnp.broadcast_to(current[:, None], made.shape), made], axis=-1)
        flat = pairs.reshape(-1, *pairs.shape[2:]) * RANGE
        seen = self.pair_blocks(leaky_relu(self.pair(flat)))
        x = self.trunk(self.fusion(seen.reshape(*made.shape[:4], self.features)))
        return current + self.conv_last(x) / RANGE
