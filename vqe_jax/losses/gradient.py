"""A loss on edges: differences between neighbouring pixels."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

__all__ = ["gradient"]


def gradient(
    prediction: Float[Array, "b t h w c"], target: Float[Array, "b t h w c"]
) -> Float[Array, ""]:
    """Mean absolute difference of the horizontal plus that of the vertical image gradients."""
    error = prediction - target
    horizontal = jnp.mean(jnp.abs(jnp.diff(error, axis=3)))
    vertical = jnp.mean(jnp.abs(jnp.diff(error, axis=2)))
    return horizontal + vertical
