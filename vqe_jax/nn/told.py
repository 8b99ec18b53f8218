"""Telling a network what a stream says of each frame: its QP and its codec, as far as known."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num

__all__ = ["Modulation", "Told"]

ArrayLike = Array | np.ndarray

_FAMILIES, _CLEAN = 7, 6  # of codecs, with the unknown one: vqe_jax.video.CODECS
_MIDDLE_QP, _SPREAD = 32.0, 10.0
# Beyond what ordinary encoders choose nothing was learned: the nearest that was is told.
_LOWEST, _HIGHEST = 14.0, 51.0


class Modulation(NamedTuple):
    """What is made of the side information of each frame.

    Attributes:
      scale: of the features, one a channel, around 1.
      shift: of the features, around 0.
      gain: of the residual, around 1.
    """

    scale: Float[Array, "b t f"]
    shift: Float[Array, "b t f"]
    gain: Float[Array, "b t 1"]


class Told(nn.Module):
    """From a frame's QP and codec to what scales its features; it begins by changing nothing.

    A network with it works blind too: what is not known has an input of its own. Frames that are
    told to be clean keep no residual at all.

    Example:
      >>> qp = jnp.array([[37.0, -1.0]])
      >>> told, _ = Told(16).init_with_output(jax.random.key(0), qp, None)
      >>> told.scale.shape, float(told.gain[0, 0, 0])
      ((1, 2, 16), 1.0)
    """

    features: int  # channels to be scaled
    hidden: int = 24

    @nn.compact
    def __call__(
        self, frame_qp: Num[ArrayLike, "b t"], codec: Int[ArrayLike, "b t"] | None
    ) -> Modulation:
        """The modulation.

        Args:
          frame_qp: -1 where unknown.
          codec: values of :data:`vqe_jax.video.CODECS`, 0 where unknown; None: unknown throughout.
        """
        frame_qp = jnp.asarray(frame_qp, jnp.float32)
        known = (frame_qp >= 0).astype(jnp.float32)
        qp = known * (jnp.clip(frame_qp, _LOWEST, _HIGHEST) - _MIDDLE_QP) / _SPREAD
        codec = jnp.zeros(frame_qp.shape, jnp.int32) if codec is None else jnp.asarray(codec)
        family = jax.nn.one_hot(codec, _FAMILIES)
        facts = jnp.concatenate([jnp.stack([known, qp, jnp.square(qp)], axis=-1), family], axis=-1)
        hidden = nn.relu(nn.Dense(self.hidden, name="facts")(facts))
        out = nn.Dense(2 * self.features + 1, kernel_init=nn.initializers.zeros, name="modulation")
        scale, shift, gain = jnp.split(out(hidden), [self.features, 2 * self.features], axis=-1)
        coded = 1 - family[..., _CLEAN, None]  # what nothing was taken from is given nothing
        return Modulation(1 + scale, shift, (1 + gain) * coded)
