"""RepNet: a few wide convolutions at a quarter of the size, for real time on two CPU cores.

Our own network, of known parts: blocks of pixels become channels (pixel-unshuffle, as in FFDNet,
Zhang et al., TIP 2018), plain 3x3 convolutions whose training branches fold into one kernel
(RepVGG, see :mod:`vqe_jax.nn.reparam`), scaled by what the stream says of the frame.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen import initializers
from jaxtyping import Array, Float

from vqe_jax.models import Context, FrameNetwork, Side
from vqe_jax.nn.layers import leaky_relu
from vqe_jax.nn.reparam import RepConv
from vqe_jax.nn.told import Told
from vqe_jax.ops.shuffle import pixel_shuffle, pixel_unshuffle

__all__ = ["RepNet"]

_GAIN = 10.0  # from the size of details to about one, and of residuals back


class RepNet(FrameNetwork):
    """A frame and its residual, from ``blocks + 2`` convolutions on blocks of pixels.

    It is told the QP of a frame and the codec's family where they are known, and works without.
    """

    features: int = 64
    blocks: int = 2  # convolutions between the first and the last
    shrink: int = 4  # side of the block of pixels that is one place
    folded: bool = False  # the plain network that :func:`vqe_jax.nn.reparam.fold` gives weights for

    @property
    def context(self) -> Context:
        """A place a convolution and one for the local mean, and the place itself."""
        reach = (self.blocks + 3) * self.shrink + self.shrink - 1
        known = frozenset({"frame_qp", "codec"})
        return Context(multiple=self.shrink, receptive_field=reach, optional=known)

    @nn.compact
    def enhance(
        self, frames: Float[Array, "n h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The frames and their residuals."""
        pixels = pixel_unshuffle(frames, self.shrink)
        count = pixels.shape[-1]
        brightness = _local_mean(pixels)
        told = jax.tree.map(
            lambda x: x[:, None].astype(frames.dtype),
            Told(self.features, name="told")(*_said(side, frames.shape[0])),
        )
        # Artifacts are small, and the same in light and shade.
        details = _GAIN * (pixels - brightness)
        x = self._conv("first", self.features)(jnp.concatenate([details, brightness], -1))
        x = x * told.scale + told.shift
        for k in range(self.blocks):
            x = self._conv(f"conv{k}", self.features)(leaky_relu(x))
        residual = self._conv("last", count, initializers.zeros, 0.0)(leaky_relu(x))
        residual = residual * told.gain
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


def _said(side: Side, frames: Any) -> tuple[Array, Array]:
    """QP and codec of each frame, ``[n, 1]``; -1 and 0 where nothing is known.

    Args:
      frames: their number, which may be a symbol where the program is exported.
    """
    qp = jnp.full((frames, 1), -1.0) if side.frame_qp is None else jnp.asarray(side.frame_qp)
    codec = jnp.zeros((frames, 1), jnp.int32) if side.codec is None else jnp.asarray(side.codec)
    return qp.reshape(frames, 1), codec.reshape(frames, 1)
