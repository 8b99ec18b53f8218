"""BRNet: residual blocks at half the size, fast on single frames (Ivp-tencent, NTIRE 2021).

Report section 4.16 and the team's code. The mean shifts before and after are convolutions that were
trained with the rest: in the released weights they mix the colors.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, FrameNetwork, Side
from vqe_jax.nn.layers import Conv
from vqe_jax.ops.shuffle import pixel_shuffle, pixel_unshuffle

__all__ = ["BRNet"]

# Mean color of DIV2K, from which the shifts begin.
_MEAN = (0.4488, 0.4371, 0.4040)


class BRNet(FrameNetwork):
    """Squeezes 2x2 pixels into channels, refines, and gives the picture itself, clipped."""

    channels: int = 3
    features: int = 64
    blocks: int = 8

    @property
    def context(self) -> Context:
        """Two convolutions a block and three around them, all at half the size."""
        return Context(multiple=2, receptive_field=2 * (2 * self.blocks + 3) + 1)

    @nn.compact
    def enhance(
        self, frames: Float[Array, "n h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The enhanced frames in [0, 1]; there is no residual to the input."""
        head = Conv(self.features, name="head")(pixel_unshuffle(self._shift(-1)(frames), 2))
        x = head
        for k in range(self.blocks):
            y = nn.relu(Conv(self.features, name=f"block{k}_conv1")(x))
            x = x + Conv(self.features, name=f"block{k}_conv2")(y)
        x = head + Conv(self.features, name="body")(x)
        x = pixel_shuffle(Conv(4 * self.channels, name="tail")(x), 2)
        return jnp.clip(self._shift(1)(x), 0, 1)

    def _shift(self, sign: int) -> Conv:
        """Begins as the identity and the mean."""
        mean = _MEAN if self.channels == 3 else (sum(_MEAN) / 3,) * self.channels
        return Conv(
            self.channels,
            1,
            kernel_init=_identity,
            bias_init=lambda *_: sign * jnp.asarray(mean, jnp.float32),
            name="sub_mean" if sign < 0 else "add_mean",
        )


def _identity(_key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> jax.Array:
    return jnp.eye(shape[2], shape[3], dtype=dtype)[None, None]
