"""Losses in the features of frozen networks: LPIPS, DISTS, and PeQuENet's VGG pyramid.

Each takes the network's ``variables``, which :func:`vqe_jax.weights.load_perceptual` has under the
name that the loss's entry gives; pass them through ``jit`` as arguments, since constants of that
size are slow to compile. The target is a constant: no gradient reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vqe_jax.nn.vgg import VGG
from vqe_jax.perceptual import DISTS, LPIPS, gaussian_downscale
from vqe_jax.perceptual.images import Images, check_pair, standardized, three_channels

__all__ = ["dists", "lpips", "vgg_pyramid"]

Variables = Mapping[str, Any]

_PYRAMID_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def lpips(
    pred: Images,
    target: Images,
    *,
    variables: Variables,
    net: str = "alex",
    dtype: str = "float32",
    divisor: int = 1,
) -> Float[Array, ""]:
    """LPIPS v0.1, the mean over all frames.

    Args:
      pred: ``[..., h, w, c]`` in [0, 1], RGB or luma.
      variables: of :class:`vqe_jax.perceptual.LPIPS`.
      net: ``"alex"`` (as metrics use it), ``"vgg"`` (as losses mostly do) or ``"squeeze"``.
      dtype: of the convolutions; ``"bfloat16"`` changes the value by less than 1 %.
      divisor: every width is divided by it; above 1 in tests only.
    """
    module = LPIPS(net=net, dtype=jnp.dtype(dtype), divisor=divisor)
    values: Any = module.apply(variables, pred, jax.lax.stop_gradient(target))
    return jnp.mean(values)


def dists(
    pred: Images,
    target: Images,
    *,
    variables: Variables,
    dtype: str = "float32",
    divisor: int = 1,
) -> Float[Array, ""]:
    """DISTS, the mean over all frames.

    Args:
      pred: ``[..., h, w, c]`` in [0, 1], RGB or luma.
      variables: of :class:`vqe_jax.perceptual.DISTS`.
      divisor: every width is divided by it; above 1 in tests only.
    """
    module = DISTS(dtype=jnp.dtype(dtype), divisor=divisor)
    values: Any = module.apply(variables, pred, jax.lax.stop_gradient(target))
    return jnp.mean(values)


def vgg_pyramid(
    pred: Images,
    target: Images,
    *,
    variables: Variables,
    depth: int = 19,
    factors: Sequence[int] = (1, 2, 4, 8),
    layer_weights: Sequence[float] = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1),
    dtype: str = "float32",
    divisor: int = 1,
) -> Float[Array, ""]:
    """Mean absolute differences of VGG's features over an image pyramid (PeQuENet, train.py).

    The paper (Eq. 4) has neither the pyramid nor the weights; the released code has, and is
    followed. Its factor of 10 belongs to the sum of the losses, not here.

    Args:
      pred: ``[..., h, w, c]`` in [0, 1], RGB or luma.
      variables: of :class:`vqe_jax.nn.vgg.VGG`.
      depth: 19, or 16 where only that is to be had.
      factors: how many times smaller each level is.
      layer_weights: of relu1_1, relu2_1, relu3_1, relu4_1, relu5_1.
      divisor: every width is divided by it; above 1 in tests only.

    Returns:
      The sum over levels and layers of the weighted means.

    Raises:
      UserError: pictures too small for the smallest level.
    """
    least = 15 * max(factors) + 1  # VGG's four poolings need 16 pixels at the smallest level
    check_pair(pred, target, min_side=least, reader=f"the VGG pyramid with factors {factors}")
    vgg = VGG(depth=depth, taps=_PYRAMID_TAPS, divisor=divisor)
    total = jnp.zeros((), jnp.float32)
    flat = [jnp.asarray(x, jnp.float32).reshape(-1, *x.shape[-3:]) for x in (pred, target)]
    flat[1] = jax.lax.stop_gradient(flat[1])
    for factor in factors:
        scaled = [three_channels(gaussian_downscale(x, factor=factor)) for x in flat]
        features = [vgg.apply(variables, standardized(x).astype(dtype)) for x in scaled]
        for weight, p, t in zip(layer_weights, *features, strict=True):
            total = total + np.float32(weight) * jnp.abs(p - t).mean(dtype=jnp.float32)
    return total
