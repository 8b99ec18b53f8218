"""Flicker: what changes from frame to frame other than by motion.

The warping error of a clip is the mean square difference between a frame and the frame before it,
brought to its place along the motion. The truth has one too (noise, new light, errors of the
flow), so a result is measured along the truth's motion, where the truth itself can be followed, and
the truth's error is taken off.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import UserError
from vqe_jax.ops.lucas_kanade import lucas_kanade
from vqe_jax.ops.stats import local_variance
from vqe_jax.ops.warp import flow_warp

__all__ = ["flicker", "followed", "motion", "smooth_regions", "warping_error"]

Clip = Float[Array, "t h w c"]
Weights = Float[Array, "n h w"]

_LUMA = (0.299, 0.587, 0.114)


@jax.jit
def motion(truth: Clip) -> Float[Array, "n h w 2"]:
    """Where each pixel of every frame but the first comes from in the frame before, in pixels.

    Args:
      truth: a raw clip, luma or RGB.
    """
    luma = _luma(truth)[..., None]
    return lucas_kanade(luma[1:], luma[:-1])


def _luma(clip: Clip) -> Float[Array, "t h w"]:
    if clip.shape[-1] == 1:
        return clip[..., 0]
    return jnp.sum(clip * jnp.array(_LUMA, clip.dtype)[None, None, None], axis=-1)


@functools.partial(jax.jit, static_argnames="limit")
def followed(truth: Clip, flow: Float[Array, "n h w 2"], *, limit: float = 0.1) -> Weights:
    """1 where the truth can be followed along the flow, 0 where it is hidden or leaves the frame.

    Args:
      flow: of :func:`motion`.
      limit: largest difference of any channel, of 1.
    """
    moved = flow_warp(truth[:-1], flow, padding="border")
    is_close = jnp.max(jnp.abs(moved - truth[1:]), axis=-1) <= limit
    inside = flow_warp(jnp.ones_like(truth[:-1, ..., :1]), flow)[..., 0] > 0.999
    return (is_close & inside).astype(jnp.float32)


@functools.partial(jax.jit, static_argnames=("share", "radius"))
def smooth_regions(truth: Clip, *, share: float = 0.5, radius: int = 5) -> Weights:
    """1 in the smoothest part of every frame but the first, by local variance of luma.

    Args:
      share: of the pixels of a frame.
      radius: of the variance's window, in pixels.
    """
    variance = local_variance(_luma(truth)[1:], radius)
    threshold = jnp.quantile(variance.reshape(len(variance), -1), share, axis=1)
    return (variance <= threshold[:, None, None]).astype(jnp.float32)


def warping_error(
    clip: Clip, flow: Float[Array, "n h w 2"], weight: Weights | None = None
) -> Float[Array, " n"]:
    """Mean square difference of each frame from the one before along the flow.

    Args:
      clip: frames in [0, 1].
      flow: from each frame but the first to the one before.
      weight: of each pixel; None: all count alike.

    Returns:
      One value for every frame but the first; 0 where no pixel counts.

    Raises:
      UserError: a clip of one frame.
    """
    if clip.shape[0] < 2:
        raise UserError("a clip of one frame cannot flicker; the warping error needs two or more")
    moved = flow_warp(clip[:-1], flow, padding="border")
    square = jnp.mean(jnp.square(moved - clip[1:]), axis=-1)
    weight = jnp.ones_like(square) if weight is None else weight
    return jnp.sum(square * weight, axis=(1, 2)) / jnp.maximum(jnp.sum(weight, axis=(1, 2)), 1)


def flicker(
    result: Clip, truth: Clip, *, flow: Float[Array, "n h w 2"] | None = None, smooth: bool = False
) -> Float[Array, " n"]:
    """The warping error of a result minus that of the truth, along the truth's motion.

    Args:
      result: an enhanced clip in [0, 1].
      flow: of :func:`motion`, where it is known already.
      smooth: over the smoother half of each frame alone, where flicker is seen first.

    Returns:
      One value for every frame but the first; 0: as steady as the truth. Multiply by 1e4 to read.
    """
    flow = motion(truth) if flow is None else flow
    weight = followed(truth, flow)
    if smooth:
        weight = weight * smooth_regions(truth)
    return warping_error(result, flow, weight) - warping_error(truth, flow, weight)
