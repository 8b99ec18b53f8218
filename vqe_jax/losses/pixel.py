"""Losses of pixel differences: Charbonnier, L1, L2, and how their values are pooled."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import UserError

__all__ = ["charbonnier", "harm", "l1", "l2", "log_mse", "motion_compensation", "pool"]


def pool(
    values: Float[Array, "b t h w c"],
    *,
    reduction: str = "mean",
    weight: Float[Array, "b t h w 1"] | None = None,
) -> Float[Array, ""]:
    """Makes one number of the values of all pixels.

    Args:
      reduction: "mean" over everything; "frame_sum": the mean within a frame, summed over the
        frames and averaged over the batch (RFDA's second stage); "sum" over everything.
      weight: weight of each pixel; means are over the weighted pixels alone.

    Returns:
      A scalar; 0 where all weights are 0.

    Raises:
      UserError: another reduction.
    """
    weights = jnp.ones_like(values) if weight is None else jnp.broadcast_to(weight, values.shape)
    values = values * weights
    if reduction == "sum":
        return jnp.sum(values)
    axes = {"mean": (0, 1, 2, 3, 4), "frame_sum": (2, 3, 4)}.get(reduction)
    if axes is None:
        raise UserError(f"reduction={reduction!r}; expected 'mean', 'frame_sum' or 'sum'")
    means = jnp.sum(values, axes) / jnp.maximum(jnp.sum(weights, axes), 1e-12)
    return means if reduction == "mean" else jnp.mean(jnp.sum(means, axis=1))


def charbonnier(
    prediction: Float[Array, "b t h w c"],
    target: Float[Array, "b t h w c"],
    *,
    eps: float = 1e-6,
    reduction: str = "mean",
    weight: Float[Array, "b t h w 1"] | None = None,
) -> Float[Array, ""]:
    """Charbonnier loss ``sqrt(d^2 + eps)``: eps is added inside the root as it is, not squared.

    That is how STDF, RFDA and VIG write it (1e-6); BasicVSR's ``sqrt(d^2 + 1e-12)`` is eps=1e-12.

    Args:
      reduction: as in :func:`pool`.
      weight: as in :func:`pool`.
    """
    values = jnp.sqrt(jnp.square(prediction - target) + eps)
    return pool(values, reduction=reduction, weight=weight)


def l1(
    prediction: Float[Array, "b t h w c"],
    target: Float[Array, "b t h w c"],
    *,
    reduction: str = "mean",
    weight: Float[Array, "b t h w 1"] | None = None,
) -> Float[Array, ""]:
    """Absolute difference; ``reduction`` and ``weight`` as in :func:`pool`."""
    return pool(jnp.abs(prediction - target), reduction=reduction, weight=weight)


def l2(
    prediction: Float[Array, "b t h w c"],
    target: Float[Array, "b t h w c"],
    *,
    reduction: str = "mean",
    weight: Float[Array, "b t h w 1"] | None = None,
) -> Float[Array, ""]:
    """Squared difference; ``reduction`` and ``weight`` as in :func:`pool`."""
    return pool(jnp.square(prediction - target), reduction=reduction, weight=weight)


def log_mse(
    prediction: Float[Array, "b t h w c"],
    target: Float[Array, "b t h w c"],
    *,
    floor: float = 1e-5,
) -> Float[Array, ""]:
    """Mean over frames of ``10 log10(mse + floor)``: what PSNR counts, in dB below white.

    A frame of good quality weighs as much as a bad one, where the squared error looks at the bad
    ones alone.

    Args:
      floor: a squared error that is as good as none; 1e-5 is 50 dB.
    """
    return jnp.mean(_decibels(prediction, target, floor))


def _decibels(
    prediction: Float[Array, "b t h w c"], target: Float[Array, "b t h w c"], floor: float
) -> Float[Array, "b t"]:
    mse = jnp.mean(jnp.square(prediction - target), axis=(2, 3, 4))
    return 10 * jnp.log10(mse + floor)


def harm(
    prediction: Float[Array, "b t h w c"],
    target: Float[Array, "b t h w c"],
    *,
    compressed: Float[Array, "b t h w c"],
    floor: float = 1e-5,
) -> Float[Array, ""]:
    """Mean over frames of the decibels that an enhanced frame is worse than it came, else nothing.

    Beside :func:`log_mse` it makes a network that is too small to know every encoder hold back
    where it would do harm.

    Args:
      compressed: the frames as they came.
      floor: as of :func:`log_mse`.
    """
    after, before = (_decibels(x, target, floor) for x in (prediction, compressed))
    return jnp.mean(jax.nn.relu(after - before))


def motion_compensation(
    aligned: Float[Array, "b t k h w c"], target: Float[Array, "b t h w c"]
) -> Float[Array, ""]:
    """Squared difference of every aligned reference frame to the frame that it was aligned to.

    MFQE trains its motion compensation with it, beside the loss of the picture.

    Args:
      aligned: reference frames, moved as the network has found.
    """
    return jnp.mean(jnp.square(aligned - target[:, :, None]))
