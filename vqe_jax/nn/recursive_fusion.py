"""What RFDA carries from frame to frame: recursive fusion, or a ConvLSTM in its place."""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from vqe_jax.nn.layers import Conv
from vqe_jax.nn.stdf_fusion import STDFFusion

__all__ = ["ConvLSTM", "FirstState", "RecursiveFusion"]

Map = Float[Array, "b h w f"]
FirstState = Literal["zeros", "identity"]


def _unless(fresh: Bool[Array, ""] | None, x: Map) -> Map:
    """Zeros where a sequence starts, the state otherwise."""
    return x if fresh is None else jnp.where(fresh, jnp.zeros_like(x), x)


class RecursiveFusion(nn.Module):
    """RF: ``h'_t = h_t + beta * fuse(h_t, align(h_t, h'_{t-1}))`` (RFDA, eqs. 4 and 5).

    The released code aligns with a whole second STDF over both maps, with 1x1 deformable kernels.
    """

    features: int = 32  # of the alignment's U-Net
    depth: int = 3  # of the alignment's U-Net
    beta: float = 0.2  # weight of what the past adds
    first_state: FirstState = "zeros"  # "identity": the first frame's features stay as they are
    last_relu: bool = True  # after the second convolution of the fusion

    @nn.compact
    def __call__(self, state: Map, inputs: tuple[Map, Bool[Array, ""] | None]) -> tuple[Map, Map]:
        """One frame: (features, whether a sequence starts here; None: no) after the state."""
        h, fresh = inputs
        channels = h.shape[-1]
        pair = jnp.concatenate([h, _unless(fresh, state)], axis=-1)
        align = STDFFusion(
            self.features,
            channels,
            self.depth,
            kernel_size=1,
            dtype=str(h.dtype),
            name="align",
        )
        aligned = align(pair)
        x = nn.relu(Conv(channels, name="fuse1")(jnp.concatenate([h, aligned], axis=-1)))
        x = Conv(channels, name="fuse2")(x)
        fused = h + self.beta * (nn.relu(x) if self.last_relu else x)
        if self.first_state == "identity" and fresh is not None:
            fused = jnp.where(fresh, h, fused)
        return fused, fused

    def initial(self, h: Map) -> Map:
        """The state before the first frame."""
        return jnp.zeros_like(h)


class ConvLSTM(nn.Module):
    """A convolutional LSTM over the fused features, added to them as RF's result is.

    Shi et al., "Convolutional LSTM Network", NeurIPS 2015, eq. 3, without peepholes.
    """

    beta: float = 0.2  # weight of what the past adds

    @nn.compact
    def __call__(
        self, state: tuple[Map, Map], inputs: tuple[Map, Bool[Array, ""] | None]
    ) -> tuple[tuple[Map, Map], Map]:
        """One frame, as :class:`RecursiveFusion`; the state is (hidden, cell)."""
        h, fresh = inputs
        hidden, cell = (_unless(fresh, part) for part in state)
        gates = Conv(4 * h.shape[-1], name="gates")(jnp.concatenate([h, hidden], axis=-1))
        into, forget, out, new = jnp.split(gates, 4, axis=-1)
        cell = nn.sigmoid(forget) * cell + nn.sigmoid(into) * jnp.tanh(new)
        hidden = nn.sigmoid(out) * jnp.tanh(cell)
        return (hidden, cell), h + self.beta * hidden

    def initial(self, h: Map) -> Any:
        """The state before the first frame."""
        return jnp.zeros_like(h), jnp.zeros_like(h)
