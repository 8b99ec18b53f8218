"""Losses on differences between neighbors: pixels, frames, and Sobel's."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import UserError

__all__ = ["gradient", "sobel", "temporal_gradient"]

_GREEN = 1


def gradient(
    prediction: Float[Array, "b t h w c"], target: Float[Array, "b t h w c"]
) -> Float[Array, ""]:
    """Mean absolute difference of the horizontal plus that of the vertical image gradients."""
    error = prediction - target
    horizontal = jnp.mean(jnp.abs(jnp.diff(error, axis=3)))
    vertical = jnp.mean(jnp.abs(jnp.diff(error, axis=2)))
    return horizontal + vertical


def temporal_gradient(
    prediction: Float[Array, "b t h w c"], target: Float[Array, "b t h w c"]
) -> Float[Array, ""]:
    """Mean absolute difference of what changes from a frame to the next: against flicker.

    An error that stays where it is costs nothing.

    Raises:
      UserError: clips of one frame.
    """
    if prediction.shape[1] < 2:
        raise UserError(
            "loss 'temporal_gradient' was given clips of 1 frame; it needs 2 or more (data.frames)"
        )
    return jnp.mean(jnp.abs(jnp.diff(prediction - target, axis=1)))


def sobel(
    prediction: Float[Array, "b t h w c"], target: Float[Array, "b t h w c"]
) -> Float[Array, ""]:
    """Mean absolute difference of both Sobel gradients of green (Shannon, NTIRE 2021), or of luma.

    Sobel's kernels are divided by 8, so a ramp of slope one has the gradient one; the border is
    left out.
    """
    error = prediction - target
    error = error[..., _GREEN if error.shape[-1] > 1 else 0]
    across = (error[..., 2:] - error[..., :-2]) / 2
    down = (error[..., 2:, :] - error[..., :-2, :]) / 2
    across = (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 4
    down = (down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]) / 4
    return (jnp.mean(jnp.abs(across)) + jnp.mean(jnp.abs(down))) / 2
