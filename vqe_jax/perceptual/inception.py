"""The Inception network of 5 December 2015 that FID and KID are defined by.

TensorFlow's port differs from torchvision's Inception v3: average pools leave the padding out of
the count, and the last block pools by maximum. A distance on any other features is not FID.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.layers import Conv
from vqe_jax.perceptual.images import Images, check_images, three_channels

__all__ = ["InceptionV3"]

_SIDE = 299
_Pool = Callable[[jax.Array], jax.Array]
# One branch: (features, kernel) a convolution.
_Plan = Sequence[tuple[int, int | tuple[int, int]]]


def _average_pool(x: jax.Array) -> jax.Array:
    return nn.avg_pool(x, (3, 3), (1, 1), padding="SAME", count_include_pad=False)


def _max_pool(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), (1, 1), padding="SAME")


class ConvBN(nn.Module):
    """A convolution without bias, batch normalisation with running statistics, ReLU."""

    features: int
    kernel_size: int | tuple[int, int]
    stride: int = 1
    padding: int | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 f"]:
        """Applies the three."""
        x = Conv(
            self.features,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            use_bias=False,
            name="conv",
        )(x)
        norm = nn.BatchNorm(use_running_average=True, epsilon=1e-3, name="bn")
        return nn.relu(norm(x))


class InceptionV3(nn.Module):
    """Pool3 features, 2048 a picture; submodules carry the official names.

    Example:
      >>> import jax
      >>> from vqe_jax.perceptual import InceptionV3
      >>> frames = jax.numpy.zeros((2, 20, 30, 3))
      >>> module = InceptionV3(divisor=16)
      >>> jax.eval_shape(module.init_with_output, jax.random.key(0), frames)[0].shape
      (2, 128)
    """

    divisor: int = 1  # every width is divided by it; above 1 in tests only

    @nn.compact
    def __call__(self, images: Images) -> Float[Array, "n d"]:
        """Resizes to 299x299 (bilinear, whole picture) and runs the network.

        Args:
          images: ``[n, h, w, c]`` in [0, 1], RGB or luma.

        Returns:
          The average over the last block's positions.

        Raises:
          UserError: pictures that are no floats in [0, 1].
        """
        check_images(images, "images", reader="Inception")
        x = three_channels(jnp.asarray(images, jnp.float32))
        x = jax.image.resize(x, (x.shape[0], _SIDE, _SIDE, 3), "linear", antialias=False)
        x = self._stem(2 * x - 1)
        for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = self._block_a(x, name, pooled)
        x = self._block_b(x, "Mixed_6a")
        for name, width in (
            ("Mixed_6b", 128),
            ("Mixed_6c", 160),
            ("Mixed_6d", 160),
            ("Mixed_6e", 192),
        ):
            x = self._block_c(x, name, width)
        x = self._block_d(x, "Mixed_7a")
        x = self._block_e(x, "Mixed_7b", _average_pool)
        x = self._block_e(x, "Mixed_7c", _max_pool)
        return x.mean((1, 2))

    def _conv(
        self,
        x: jax.Array,
        name: str,
        features: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | None = None,
    ) -> jax.Array:
        layer = ConvBN(features // self.divisor, kernel, stride, padding, name=name)
        return layer(x)

    def _branch(self, x: jax.Array, prefix: str, plan: _Plan) -> jax.Array:
        for i, (features, kernel) in enumerate(plan, start=1):
            x = self._conv(x, f"{prefix}_{i}", features, kernel)
        return x

    def _stem(self, x: jax.Array) -> jax.Array:
        x = self._conv(x, "Conv2d_1a_3x3", 32, 3, stride=2, padding=0)
        x = self._conv(x, "Conv2d_2a_3x3", 32, 3, padding=0)
        x = self._conv(x, "Conv2d_2b_3x3", 64, 3)
        x = nn.max_pool(x, (3, 3), (2, 2))
        x = self._conv(x, "Conv2d_3b_1x1", 80, 1)
        x = self._conv(x, "Conv2d_4a_3x3", 192, 3, padding=0)
        return nn.max_pool(x, (3, 3), (2, 2))

    def _block_a(self, x: jax.Array, name: str, pooled: int) -> jax.Array:
        parts = [
            self._conv(x, f"{name}.branch1x1", 64, 1),
            self._branch(x, f"{name}.branch5x5", [(48, 1), (64, 5)]),
            self._branch(x, f"{name}.branch3x3dbl", [(64, 1), (96, 3), (96, 3)]),
            self._conv(_average_pool(x), f"{name}.branch_pool", pooled, 1),
        ]
        return jnp.concatenate(parts, axis=-1)

    def _block_b(self, x: jax.Array, name: str) -> jax.Array:
        doubled = self._branch(x, f"{name}.branch3x3dbl", [(64, 1), (96, 3)])
        parts = [
            self._conv(x, f"{name}.branch3x3", 384, 3, stride=2, padding=0),
            self._conv(doubled, f"{name}.branch3x3dbl_3", 96, 3, stride=2, padding=0),
            nn.max_pool(x, (3, 3), (2, 2)),
        ]
        return jnp.concatenate(parts, axis=-1)

    def _block_c(self, x: jax.Array, name: str, width: int) -> jax.Array:
        # 7x7 convolutions taken apart into rows and columns.
        row, column = (1, 7), (7, 1)
        doubled: _Plan = [(width, 1), (width, column), (width, row), (width, column), (192, row)]
        parts = [
            self._conv(x, f"{name}.branch1x1", 192, 1),
            self._branch(x, f"{name}.branch7x7", [(width, 1), (width, row), (192, column)]),
            self._branch(x, f"{name}.branch7x7dbl", doubled),
            self._conv(_average_pool(x), f"{name}.branch_pool", 192, 1),
        ]
        return jnp.concatenate(parts, axis=-1)

    def _block_d(self, x: jax.Array, name: str) -> jax.Array:
        three = self._branch(x, f"{name}.branch3x3", [(192, 1)])
        seven = self._branch(x, f"{name}.branch7x7x3", [(192, 1), (192, (1, 7)), (192, (7, 1))])
        parts = [
            self._conv(three, f"{name}.branch3x3_2", 320, 3, stride=2, padding=0),
            self._conv(seven, f"{name}.branch7x7x3_4", 192, 3, stride=2, padding=0),
            nn.max_pool(x, (3, 3), (2, 2)),
        ]
        return jnp.concatenate(parts, axis=-1)

    def _block_e(self, x: jax.Array, name: str, pool: _Pool) -> jax.Array:
        three = self._branch(x, f"{name}.branch3x3", [(384, 1)])
        doubled = self._branch(x, f"{name}.branch3x3dbl", [(448, 1), (384, 3)])
        parts = [
            self._conv(x, f"{name}.branch1x1", 320, 1),
            self._conv(three, f"{name}.branch3x3_2a", 384, (1, 3)),
            self._conv(three, f"{name}.branch3x3_2b", 384, (3, 1)),
            self._conv(doubled, f"{name}.branch3x3dbl_3a", 384, (1, 3)),
            self._conv(doubled, f"{name}.branch3x3dbl_3b", 384, (3, 1)),
            self._conv(pool(x), f"{name}.branch_pool", 192, 1),
        ]
        return jnp.concatenate(parts, axis=-1)
