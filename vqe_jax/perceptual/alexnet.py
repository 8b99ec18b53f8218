"""The convolutional part of AlexNet in torchvision's widths (64, 192, 384, 256, 256)."""

from __future__ import annotations

import flax.linen as nn
from jaxtyping import Array, Float

from vqe_jax.nn.layers import Conv

__all__ = ["AlexNet"]


class AlexNet(nn.Module):
    """AlexNet's five activations.

    Example:
      >>> import jax
      >>> from vqe_jax.perceptual import AlexNet
      >>> image = jax.numpy.zeros((1, 64, 64, 3))
      >>> features, _ = AlexNet(divisor=8).init_with_output(jax.random.key(0), image)
      >>> [f.shape[1:] for f in features]
      [(15, 15, 8), (7, 7, 24), (3, 3, 48), (3, 3, 32), (3, 3, 32)]
    """

    divisor: int = 1  # every width is divided by it: 1, or up to 64 in tests

    @nn.compact
    def __call__(self, x: Float[Array, "*lead h w c"]) -> tuple[Float[Array, "*lead _ _ _"], ...]:
        """Returns relu1 ... relu5; sides of 31 pixels are the least."""
        d = self.divisor
        relu1 = nn.relu(Conv(64 // d, 11, stride=4, padding=2, name="conv1")(x))
        pool1 = nn.max_pool(relu1, (3, 3), (2, 2))
        relu2 = nn.relu(Conv(192 // d, 5, name="conv2")(pool1))
        pool2 = nn.max_pool(relu2, (3, 3), (2, 2))
        relu3 = nn.relu(Conv(384 // d, name="conv3")(pool2))
        relu4 = nn.relu(Conv(256 // d, name="conv4")(relu3))
        relu5 = nn.relu(Conv(256 // d, name="conv5")(relu4))
        return relu1, relu2, relu3, relu4, relu5
