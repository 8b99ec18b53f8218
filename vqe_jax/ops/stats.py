"""Statistics over a window around every pixel."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.errors import UserError

__all__ = ["local_variance"]


def local_variance(x: Float[Array, "*lead h w"], radius: int) -> Float[Array, "*lead h w"]:
    """Population variance over the ``(2 * radius + 1)`` x ``(2 * radius + 1)`` window of a pixel.

    Windows are cut at the frame's border: the variance is over the pixels there are. Nothing is
    computed as a difference of two large sums. By the law of total variance the window splits in
    its rows: the mean of their variances plus the variance of their means, and each of these sums
    squares of deviations from a mean.

    Args:
      x: maps, any leading axes.
      radius: pixels to each side.

    Returns:
      The variance at every pixel.

    Raises:
      UserError: a negative radius.

    Example:
      >>> local_variance(jnp.array([[0.0, 4.0, 4.0, 4.0]]), 1).round(2)[0, 0].item()
      4.0
    """
    if radius < 0:
        raise UserError(f"radius={radius} of a window must be 0 or more pixels")
    mean, variance = _along(x, jnp.zeros_like(x), radius, axis=-1)
    return _along(mean, variance, radius, axis=-2)[1]


def _along(
    mean: Float[Array, "*lead h w"], variance: Float[Array, "*lead h w"], radius: int, axis: int
) -> tuple[Float[Array, "*lead h w"], Float[Array, "*lead h w"]]:
    """Mean and variance of groups joined along an axis, from those of the groups."""
    radius = min(radius, mean.shape[axis] - 1)
    inside = list(_shifted(jnp.ones_like(mean), radius, axis))
    count = _total(inside)
    joined = _total(_shifted(mean, radius, axis)) / count
    deviations = (
        one * jnp.square(member - joined)
        for member, one in zip(_shifted(mean, radius, axis), inside, strict=True)
    )
    within = _total(_shifted(variance, radius, axis))
    return joined, (within + _total(deviations)) / count


def _total(maps: Iterable[Float[Array, "*lead h w"]]) -> Float[Array, "*lead h w"]:
    return functools.reduce(operator.add, maps)


def _shifted(
    x: Float[Array, "*lead h w"], radius: int, axis: int
) -> Iterator[Float[Array, "*lead h w"]]:
    """The map moved by ``-radius .. radius`` pixels along an axis, zero where nothing was."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (radius, radius)
    padded = jnp.pad(x, widths)
    size = x.shape[axis]
    for start in range(2 * radius + 1):
        yield lax.slice_in_dim(padded, start, start + size, axis=axis)
