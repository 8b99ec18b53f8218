"""Optical flow without weights: Lucas and Kanade's method on a pyramid (1981).

Coarse beside a learned flow, but it needs no network: enough to ask whether a video flickers.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.ops.pad import padded_size
from vqe_jax.ops.resample import resize_bilinear
from vqe_jax.ops.warp import flow_warp

__all__ = ["lucas_kanade"]

Maps = Float[Array, "b h w c"]

# Added to the diagonal of the normal equations: where nothing can be seen, nothing moves.
_DAMPING = 1e-4


def lucas_kanade(
    ref: Float[Array, "b h w 1"],
    supp: Float[Array, "b h w 1"],
    *,
    levels: int = 4,
    iterations: int = 3,
    radius: int = 4,
) -> Float[Array, "b h w 2"]:
    """Dense flow between two frames: ``ref(p)`` is found at ``supp(p + flow(p))``.

    Args:
      ref: luma in [0, 1].
      levels: of the pyramid; motion of up to about ``2**levels`` pixels is followed.
      iterations: Gauss-Newton steps at each level, each of at most a pixel.
      radius: of the window over which motion is taken to be constant, in pixels.

    Returns:
      Flow (dx, dy) in pixels.
    """
    h, w = ref.shape[1:3]
    multiple = 2 ** (levels - 1)
    size = (padded_size(h, multiple), padded_size(w, multiple))
    refs, supps = (_pyramid(resize_bilinear(x, size), levels) for x in (ref, supp))
    flow = jnp.zeros((*refs[0].shape[:3], 2), jnp.float32)
    for a, b in zip(refs, supps, strict=True):
        if flow.shape[1:3] != a.shape[1:3]:
            flow = 2 * resize_bilinear(flow, (a.shape[1], a.shape[2]))
        for _ in range(iterations):
            flow = flow + _update(a, flow_warp(b, flow, padding="border"), radius)
    scale = jnp.array([w / size[1], h / size[0]], jnp.float32)
    return resize_bilinear(flow, (h, w)) * scale[None, None, None]


def _pyramid(x: Maps, levels: int) -> list[Float[Array, "b _ _ c"]]:
    found = [x]
    for _ in range(levels - 1):
        b, h, w, c = found[-1].shape
        found.append(jnp.mean(found[-1].reshape(b, h // 2, 2, w // 2, 2, c), axis=(2, 4)))
    return found[::-1]


def _update(ref: Maps, warped: Maps, radius: int) -> Float[Array, "b h w 2"]:
    """One Gauss-Newton step: the least-squares motion of each window."""
    gx, gy = _slope(warped, axis=2), _slope(warped, axis=1)
    gt = ref - warped
    xx, xy, yy = (_window_mean(p, radius) for p in (gx * gx, gx * gy, gy * gy))
    xt, yt = (_window_mean(p, radius) for p in (gx * gt, gy * gt))
    xx, yy = xx + _DAMPING, yy + _DAMPING
    determinant = xx * yy - xy * xy
    step = jnp.concatenate([yy * xt - xy * yt, xx * yt - xy * xt], axis=-1) / determinant
    return jnp.clip(step, -1, 1)


def _slope(x: Maps, axis: int) -> Maps:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (1, 1)
    padded = jnp.pad(x, widths, mode="edge")
    after = lax.slice_in_dim(padded, 2, None, axis=axis)
    return (after - lax.slice_in_dim(padded, 0, -2, axis=axis)) / 2


def _window_mean(x: Maps, radius: int) -> Maps:
    """Mean over a window, separably; the border is replicated."""
    width = 2 * radius + 1
    for axis in (1, 2):
        widths = [(0, 0)] * x.ndim
        widths[axis] = (radius, radius)
        shape = [1] * x.ndim
        shape[axis] = width
        padded = jnp.pad(x, widths, mode="edge")
        x = lax.reduce_window(padded, 0.0, lax.add, tuple(shape), (1,) * x.ndim, "VALID") / width
    return x
