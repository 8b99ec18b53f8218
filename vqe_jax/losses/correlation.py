"""How far two clips are from being linear functions of each other."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.losses.pixel import pool

__all__ = ["pearson"]

# Of the product of both variances: flat clips have no correlation and no gradient.
_LEAST = 1e-12


def pearson(
    prediction: Float[Array, "b t h w c"],
    target: Float[Array, "b t h w c"],
    *,
    weight: Float[Array, "b t h w 1"] | None = None,
) -> Float[Array, ""]:
    """``1 - r``, Pearson's correlation over all pixels of the batch at once (STDR).

    Blind to brightness and contrast; a loss of differences goes beside it.

    Args:
      weight: of each pixel, as in :func:`~vqe_jax.losses.pixel.pool`.

    Returns:
      Between 0 (one is the other times a positive number, plus a number) and 2; 1 where one of them
      is flat.

    Example:
      >>> x = jnp.arange(4.0).reshape(1, 1, 2, 2, 1)
      >>> abs(round(float(pearson(3 * x + 1, x)), 6)), round(float(pearson(-x, x)), 6)
      (0.0, 2.0)
    """
    first = prediction - pool(prediction, weight=weight)
    second = target - pool(target, weight=weight)
    shared = pool(first * second, weight=weight)
    variances = pool(first**2, weight=weight) * pool(second**2, weight=weight)
    return 1 - shared / jnp.sqrt(jnp.maximum(variances, _LEAST))
