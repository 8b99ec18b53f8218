"""Sampling a frame along optical flow: ``out(p) = x(p + flow(p))``, bilinear.

Flow is ``[..., 2]`` in (dx, dy) pixels. Coordinates are float32 whatever the frame's type, since
eight bits of mantissa cannot say a position to a tenth of a pixel.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vqe_jax.errors import check_known

__all__ = ["flow_warp"]

_PADDINGS = ("zeros", "border")


def flow_warp(
    x: Float[Array, "b h w c"],
    flow: Float[Array, "b h w 2"],
    *,
    padding: str = "zeros",
) -> Float[Array, "b h w c"]:
    """Samples ``x`` at every pixel's position plus its flow.

    Args:
      flow: displacement (dx, dy) in pixels; a pixel whose flow is not finite becomes NaN.
      padding: what lies outside: ``"zeros"`` (for each of the four corners on its own), or
        ``"border"``, the nearest pixel there is.

    Returns:
      The warped frames, in the type of ``x``.

    Raises:
      UserError: an unknown padding, or flow of another size than the frames.

    Example:
      >>> x = jnp.arange(4.0).reshape(1, 1, 4, 1)
      >>> right = jnp.tile(jnp.array([1.0, 0.0]), (1, 1, 4, 1))
      >>> flow_warp(x, right).ravel().tolist()
      [1.0, 2.0, 3.0, 0.0]
    """
    check_known("padding ", padding, _PADDINGS)
    h, w = x.shape[1:3]
    flow = flow.astype(jnp.float32)
    px = flow[..., 0] + jnp.arange(w, dtype=jnp.float32)[None, None, :]
    py = flow[..., 1] + jnp.arange(h, dtype=jnp.float32)[None, :, None]
    if padding == "border":
        px, py = jnp.clip(px, 0, w - 1), jnp.clip(py, 0, h - 1)
    x0, fx = _corner(px, w)
    y0, fy = _corner(py, h)
    total = jnp.zeros_like(x)
    for iy, wy in ((y0, 1 - fy), (y0 + 1, fy)):
        for ix, wx in ((x0, 1 - fx), (x0 + 1, fx)):
            total = total + _weighted(x, iy, ix, wy * wx)
    return total


def _corner(
    p: Float[Array, "b h w"], size: int
) -> tuple[Int[Array, "b h w"], Float[Array, "b h w"]]:
    """The corner before a coordinate, and how far beyond it the coordinate lies."""
    # Beyond one pixel outside everything is zero, so far positions may move nearer; this keeps the
    # conversion to integers defined. NaN stays in the fraction, hence in the result.
    p = jnp.clip(p, -2, size + 1)
    floor = jnp.floor(p)
    return jnp.nan_to_num(floor).astype(jnp.int32), p - floor


def _weighted(
    x: Float[Array, "b h w c"],
    iy: Int[Array, "b h w"],
    ix: Int[Array, "b h w"],
    weight: Float[Array, "b h w"],
) -> Float[Array, "b h w c"]:
    """The pixels at (iy, ix) times their weights; zero outside."""
    b, h, w, c = x.shape
    is_inside = (iy >= 0) & (iy < h) & (ix >= 0) & (ix < w)
    index = jnp.clip(iy, 0, h - 1) * w + jnp.clip(ix, 0, w - 1)
    pixels = jnp.take_along_axis(x.reshape(b, h * w, c), index.reshape(b, h * w, 1), axis=1)
    weight = jnp.where(is_inside | jnp.isnan(weight), weight, 0)
    return pixels.reshape(x.shape) * weight[..., None].astype(x.dtype)
