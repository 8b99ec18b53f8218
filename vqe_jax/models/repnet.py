"""RepNet: a few wide convolutions at a quarter of the size, for real time on two CPU cores.

Our own network, of known parts: blocks of pixels become channels (pixel-unshuffle, as in FFDNet,
Zhang et al., TIP 2018), plain 3x3 convolutions whose training branches fold into one kernel
(RepVGG, see :mod:`vqe_jax.nn.reparam`), and two planes that say the QP of the frame.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from flax.linen import initializers
from jaxtyping import Array, Float

from vqe_jax.models import Context, FrameNetwork, Side
from vqe_jax.nn.layers import leaky_relu
from vqe_jax.nn.reparam import RepConv
from vqe_jax.ops.shuffle import pixel_shuffle, pixel_unshuffle

__all__ = ["RepNet"]

_LARGEST_QP = 51.0
_GAIN = 10.0  # from the size of details to about one, and of residuals back


class RepNet(FrameNetwork):
    """A frame and its residual, from ``blocks + 2`` convolutions on blocks of pixels.

    It is told the QP of a frame where that is known, and works without.
    """

    features: int = 64
    blocks: int = 2  # convolutions between the first and the last
    shrink: int = 4  # side of the block of pixels that is one place
    folded: bool = False  # the plain network that :func:`vqe_jax.nn.reparam.fold` gives weights for

    @property
    def context(self) -> Context:
        """A place a convolution and one for the local mean, and the place itself."""
        reach = (self.blocks + 3) * self.shrink + self.shrink - 1
        known = frozenset({"frame_qp"})
        return Context(multiple=self.shrink, receptive_field=reach, optional=known)

    @nn.compact
    def enhance(
        self, frames: Float[Array, "n h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The frames and their residuals."""
        pixels = pixel_unshuffle(frames, self.shrink)
        count = pixels.shape[-1]
        brightness = _local_mean(pixels)
        planes = _qp_planes(side, brightness)
        # Artifacts are small, and the same in light and shade.
        details = _GAIN * (pixels - brightness)
        x = self._conv("first", self.features)(jnp.concatenate([details, brightness, planes], -1))
        for k in range(self.blocks):
            x = self._conv(f"conv{k}", self.features)(leaky_relu(x))
        residual = self._conv("last", count, initializers.zeros, 0.0)(leaky_relu(x))
        return frames + pixel_shuffle(residual / _GAIN, self.shrink)

    def _conv(
        self, name: str, features: int, init: initializers.Initializer | None = None, p: float = 1.0
    ) -> RepConv:
        return RepConv(features, self.folded, init, p, name=name)


def _local_mean(pixels: Float[Array, "n h w f"]) -> Float[Array, "n h w 1"]:
    """Mean over a block of pixels and the eight around it; outside lies what is next to it."""
    mean = jnp.pad(pixels.mean(-1, keepdims=True), [(0, 0), (1, 1), (1, 1), (0, 0)], mode="edge")
    rows = mean[:, :-2] + mean[:, 1:-1] + mean[:, 2:]
    return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9.0


def _qp_planes(side: Side, like: Float[Array, "n h w 1"]) -> Float[Array, "n h w 2"]:
    """QP and whether it is known, of each frame."""
    shape = (*like.shape[:3], 2)
    if side.frame_qp is None:
        return jnp.zeros(shape, like.dtype)
    qp = jnp.asarray(side.frame_qp, jnp.float32).reshape(-1)
    known = qp >= 0
    planes = jnp.stack([jnp.where(known, qp / _LARGEST_QP, 0.0), known.astype(jnp.float32)], -1)
    return jnp.broadcast_to(planes.astype(like.dtype)[:, None, None], shape)
