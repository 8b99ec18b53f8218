"""LPIPS v0.1 (Zhang et al., CVPR 2018): a learned distance between pictures.

Features of both pictures are scaled to unit length at every position; their squared differences,
weighted per channel, are averaged over the picture and summed over the layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.errors import UserError, near_misses
from vqe_jax.nn.vgg import VGG
from vqe_jax.perceptual.alexnet import AlexNet
from vqe_jax.perceptual.images import Images, check_pair, standardized, three_channels
from vqe_jax.perceptual.squeezenet import SqueezeNet

__all__ = ["LPIPS", "LPIPS_NETS", "LpipsNet", "unit_length"]

# LPIPS takes values in [-1, 1] and brings them to about unit variance per channel.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


@dataclasses.dataclass(frozen=True)
class LpipsNet:
    """A feature network LPIPS has weights for.

    Attributes:
      min_side: below this height or width a layer has no position left, pixels.
    """

    make: Callable[[int], nn.Module]
    channels: tuple[int, ...]
    min_side: int


LPIPS_NETS = {
    "alex": LpipsNet(lambda d: AlexNet(divisor=d), (64, 192, 384, 256, 256), 31),
    "vgg": LpipsNet(lambda d: VGG(depth=16, divisor=d), (64, 128, 256, 512, 512), 16),
    "squeeze": LpipsNet(
        lambda d: SqueezeNet(divisor=d), (64, 128, 256, 384, 384, 512, 512), 17
    ),
}  # fmt: skip


def unit_length(x: Float[Array, "*lead c"], *, eps: float = 1e-10) -> Float[Array, "*lead c"]:
    """Divides by the Euclidean length over the channels plus ``eps``.

    A zero vector stays zero, and so is its gradient (that of a plain square root is infinite).
    """
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    nonzero = square > 0
    length = jnp.sqrt(jnp.where(nonzero, square, 1))
    return jnp.where(nonzero, x / (length + eps), 0)


class LPIPS(nn.Module):
    """The distance of LPIPS v0.1; smaller is more alike, 0 for equal pictures.

    Its variables are ``params/backbone`` (the feature network) and ``params/head0`` ... (weights
    per channel); :func:`vqe_jax.weights.load_perceptual` has them under ``"lpips_alex"`` etc.

    Example:
      >>> import jax
      >>> from vqe_jax.perceptual import LPIPS
      >>> a = jax.numpy.zeros((2, 32, 40, 3))
      >>> module = LPIPS(net="alex", divisor=16)
      >>> variables = module.init(jax.random.key(0), a, a)
      >>> module.apply(variables, a, a).tolist()
      [0.0, 0.0]
    """

    net: str = "alex"  # "alex", "vgg" or "squeeze"
    spatial: bool = False  # a distance for every pixel in place of one a picture
    dtype: Any = jnp.float32  # of the convolutions; what follows them is float32
    divisor: int = 1  # every width is divided by it; above 1 in tests only

    def setup(self) -> None:
        """Makes the feature network and the weights per channel."""
        if self.net not in LPIPS_NETS:
            raise UserError(f"LPIPS net is {self.net!r}{near_misses(self.net, LPIPS_NETS)}")
        kind = LPIPS_NETS[self.net]
        self.backbone = kind.make(self.divisor)
        self.heads = [
            self.param(f"head{i}", nn.initializers.constant(1 / len(kind.channels)), (c,))
            for i, c in enumerate(c // self.divisor for c in kind.channels)
        ]

    def _features(self, x: jax.Array) -> list[jax.Array]:
        x = three_channels(x.astype(jnp.float32))
        x = standardized(2 * x - 1, _SHIFT, _SCALE).astype(self.dtype)
        return [unit_length(f.astype(jnp.float32)) for f in self.backbone(x)]

    def layers(self, pred: Images, target: Images) -> tuple[Float[Array, "*lead _ _"], ...]:
        """The weighted squared difference of each layer, before any average.

        Args:
          pred: in [0, 1], RGB or luma.

        Returns:
          One map a layer, at the layer's size.

        Raises:
          UserError: pictures that are no floats in [0, 1], or too small.
        """
        least = LPIPS_NETS[self.net].min_side
        check_pair(pred, target, min_side=least, reader=f"LPIPS ({self.net})")
        pairs = zip(
            self._features(jnp.asarray(pred)), self._features(jnp.asarray(target)), strict=True
        )
        return tuple(
            jnp.matmul(jnp.square(p - t), head, precision="highest")
            for (p, t), head in zip(pairs, self.heads, strict=True)
        )

    def __call__(self, pred: Images, target: Images) -> Float[Array, "*out"]:
        """Compares pictures.

        Args:
          pred: in [0, 1], RGB or luma.

        Returns:
          One distance a picture, or a map ``[..., h, w]`` with ``spatial``.

        Raises:
          UserError: pictures that are no floats in [0, 1], or too small.
        """
        layers = self.layers(pred, target)
        if not self.spatial:
            return sum((m.mean((-2, -1)) for m in layers[1:]), layers[0].mean((-2, -1)))
        size = pred.shape[:-1]
        return sum(
            (jax.image.resize(m, size, "linear", antialias=False) for m in layers),
            jnp.zeros(size),
        )
