"""DISTS (Ding et al., TPAMI 2020): similarity of structure and texture in VGG-16's features."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from vqe_jax.nn.vgg import VGG, tap_channels
from vqe_jax.ops.conv2d import conv2d
from vqe_jax.perceptual.images import Images, check_pair, standardized, three_channels

__all__ = ["DISTS", "DISTS_MIN_SIDE", "l2_pool"]

_TAPS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
# L2 pooling rounds sizes up, so any picture passes; below this the last layer is a single pixel.
DISTS_MIN_SIDE = 16
_C1 = _C2 = 1e-6


def l2_pool(x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h2 w2 c"]:
    """The root of the Hann-weighted mean square over 3x3, stride 2, zeros outside.

    Stands where VGG has its maxima, so that the features do not alias.
    """
    taps = np.outer([1, 2, 1], [1, 2, 1]) / 16
    channels = x.shape[-1]
    kernel = jnp.asarray(np.tile(taps[:, :, None, None], (1, 1, 1, channels)), x.dtype)
    flat = x.reshape(-1, *x.shape[-3:])
    power = conv2d(flat * flat, kernel, 2, (1, 1), groups=channels)
    return jnp.sqrt(power + jnp.asarray(1e-12, x.dtype)).reshape(*x.shape[:-3], *power.shape[1:])


def _similarities(
    x: Float[Array, "*lead h w c"], y: Float[Array, "*lead h w c"]
) -> tuple[Float[Array, "*lead c"], Float[Array, "*lead c"]]:
    """Texture (means) and structure (covariance) per channel, Eq. 5 and 6 of the paper."""
    mx, my = (v.mean((-3, -2), keepdims=True) for v in (x, y))
    dx, dy = x - mx, y - my
    texture = (2 * mx * my + _C1) / (mx * mx + my * my + _C1)
    covariance = (dx * dy).mean((-3, -2))
    variances = (dx * dx).mean((-3, -2)) + (dy * dy).mean((-3, -2))
    return texture[..., 0, 0, :], (2 * covariance + _C2) / (variances + _C2)


class DISTS(nn.Module):
    """One minus the weighted similarities of the picture itself and of five layers of VGG-16.

    Its variables are ``params/backbone`` (VGG-16) and ``params/alpha``, ``params/beta`` (weights
    of texture and structure, one a channel, divided by their sum before use).
    """

    dtype: Any = jnp.float32  # of the convolutions; the statistics are float32
    divisor: int = 1  # every width is divided by it; above 1 in tests only

    @nn.compact
    def __call__(self, pred: Images, target: Images) -> Float[Array, "*lead"]:
        """Compares pictures.

        Args:
          pred: in [0, 1], RGB or luma.

        Returns:
          One distance a picture; 0 for equal ones.

        Raises:
          UserError: pictures that are no floats in [0, 1], or smaller than 16 pixels.
        """
        check_pair(pred, target, min_side=DISTS_MIN_SIDE, reader="DISTS")
        vgg = VGG(depth=16, taps=_TAPS, divisor=self.divisor, pool=l2_pool, name="backbone")
        sets = [self._with_picture(vgg, jnp.asarray(x)) for x in (pred, target)]
        channels = 3 + sum(tap_channels(t, divisor=self.divisor) for t in _TAPS)
        alpha, beta = (
            self.param(name, nn.initializers.constant(0.1), (channels,))
            for name in ("alpha", "beta")
        )
        found = [_similarities(x, y) for x, y in zip(*sets, strict=True)]
        texture, structure = (jnp.concatenate(part, axis=-1) for part in zip(*found, strict=True))
        return 1 - (texture @ alpha + structure @ beta) / (alpha.sum() + beta.sum())

    def _with_picture(self, vgg: VGG, x: jax.Array) -> list[jax.Array]:
        x = three_channels(x.astype(jnp.float32))
        features = vgg(standardized(x).astype(self.dtype))
        return [x, *(f.astype(jnp.float32) for f in features)]
