"""Textures of an intra frame for the frame that is enhanced: BLUEDOT's transformer, after TTSR.

Yang et al. (TTSR), CVPR 2020, Fig. 2; NTIRE 2021, section 4.13, Fig. 14-(b) and (c).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.ops.resample import resize_bilinear
from vqe_jax.ops.texture_transfer import most_relevant, transferred

__all__ = ["IntraTexture", "Match", "TextureExtractor"]

Frames = Float[Array, "n h w c"]
Maps = Float[Array, "n h w f"]


class Match(NamedTuple):
    """Where the textures of the most relevant intra frame are like those of the current one.

    Attributes:
      soft: relevance of the best place, at a quarter of the size, in [-1, 1].
    """

    soft: Float[Array, "n h4 w4"]
    hard: Int[Array, "n h4 w4"]
    chosen: Int[Array, " n"]


class TextureExtractor(nn.Module):
    """Learned features of a frame at full and at a quarter of its size; sides divide by 4."""

    features: int

    @nn.compact
    def __call__(self, frames: Float[Array, "*m h w c"]) -> tuple[Array, Array]:
        """Values to be transferred, and what their places are compared by."""
        full = Conv(self.features, name="conv1")(frames)
        full = leaky_relu(Conv(self.features, name="conv2")(leaky_relu(full)))
        x = full
        for name in ("half", "quarter"):
            x = leaky_relu(Conv(self.features, stride=2, padding=1, name=f"{name}_down")(x))
            x = Conv(self.features, name=f"{name}_conv")(x)
            x = leaky_relu(x) if name == "half" else x
        return full, x


class IntraTexture(nn.Module):
    """Adds an intra frame's textures to features, where there are any like the current frame's."""

    features: int
    relevance: Literal["content", "nearest"] = "content"
    fusion: Literal["soft", "network"] = "soft"

    def setup(self) -> None:
        """One extractor for all frames, as TTSR has it, and the fusion."""
        self.extractor = TextureExtractor(self.features)
        self.joined = Conv(self.features)
        if self.fusion == "network":
            self.attention1 = Conv(self.features)
            self.attention2 = Conv(self.features)

    def match(self, frames: Frames, candidates: Float[Array, "n m h w c"]) -> Match:
        """The relevance of each candidate, the mean of its soft attention, and the best one."""
        if self.relevance == "nearest":
            candidates = candidates[:, :1]
        query, key = self.extractor(frames)[1], self.extractor(candidates)[1]
        # Outside of compiled loops: their bodies hold no parameters.
        soft, hard = jax.lax.map(
            lambda x: jax.lax.map(lambda k: most_relevant(x[0], k), x[1]), (query, key)
        )
        chosen = jnp.argmax(jnp.mean(soft, axis=(2, 3)), axis=1)
        take = jax.vmap(lambda x, i: x[i])
        return Match(take(soft, chosen), take(hard, chosen), chosen)

    def __call__(self, x: Maps, match: Match, intra: Frames) -> Maps:
        """The features with the textures of the chosen intra frame."""
        values = self.extractor(intra)[0]
        texture = jax.vmap(transferred)(values, match.hard)
        soft = resize_bilinear(match.soft[..., None].astype(x.dtype), (x.shape[1], x.shape[2]))
        both = jnp.concatenate([x, texture], axis=-1)
        added = self.joined(both) * soft
        if self.fusion == "network":
            told = jnp.concatenate([both, soft], axis=-1)
            added = added * nn.sigmoid(self.attention2(leaky_relu(self.attention1(told))))
        return x + added
