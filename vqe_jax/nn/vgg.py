"""The convolutional part of VGG-16 and VGG-19, returning the activations asked for.

Plain: no normalisation of the input, no classifier. The loss networks normalise before it, and
PeQuENet's generator reads it as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from vqe_jax.errors import UserError, near_misses
from vqe_jax.nn.layers import Conv

__all__ = ["VGG", "max_pool", "tap_channels", "torchvision_indices"]

# Convolutions of each of the five blocks (Simonyan and Zisserman, Table 1, columns D and E).
_BLOCKS = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


def max_pool(x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h2 w2 c"]:
    """Maximum over 2x2, stride 2; an odd last row or column is dropped."""
    return nn.max_pool(x, (2, 2), (2, 2))


def torchvision_indices(depth: int) -> dict[str, int]:
    """The convolutions of a VGG in order, with their place in torchvision's ``features``.

    Args:
      depth: 16 or 19.

    Raises:
      UserError: another depth.

    Example:
      >>> list(torchvision_indices(19).items())[:4]
      [('conv1_1', 0), ('conv1_2', 2), ('conv2_1', 5), ('conv2_2', 7)]
    """
    if depth not in _BLOCKS:
        raise UserError(f"depth is {depth}, expected 16 or 19: the VGGs that are used for features")
    indices, place = {}, 0
    for block, count in enumerate(_BLOCKS[depth], start=1):
        for i in range(1, count + 1):
            indices[f"conv{block}_{i}"] = place
            place += 2  # the ReLU has a place of its own
        place += 1  # and so has the pooling
    return indices


def tap_channels(tap: str, *, divisor: int = 1) -> int:
    """Channels of an activation, ``tap_channels("relu3_1") == 256``.

    Args:
      tap: ``relu{block}_{i}``.
      divisor: as of :class:`VGG`.
    """
    return _WIDTHS[int(tap[4]) - 1] // divisor


class VGG(nn.Module):
    """VGG's convolutions up to the last activation asked for.

    Example:
      >>> import jax
      >>> from vqe_jax.nn.vgg import VGG
      >>> vgg = VGG(depth=19, divisor=8, taps=("relu1_1", "relu2_1"))
      >>> features, _ = vgg.init_with_output(jax.random.key(0), jax.numpy.zeros((1, 8, 6, 3)))
      >>> [f.shape for f in features]
      [(1, 8, 6, 8), (1, 4, 3, 16)]
    """

    depth: int = 16  # 16 or 19
    taps: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    divisor: int = 1  # every width is divided by it: 1, or up to 64 in tests
    pool: Callable[[jax.Array], jax.Array] = max_pool  # between the blocks

    @nn.compact
    def __call__(self, x: Float[Array, "*lead h w c"]) -> tuple[Float[Array, "*lead _ _ _"], ...]:
        """Runs the convolutions.

        Args:
          x: three channels (any number works with weights made for it).

        Returns:
          The activations named by ``taps``, in that order. Those of block ``n`` are smaller by
          ``2 ** (n - 1)``, rounded down at every pooling.

        Raises:
          UserError: a tap that this depth does not have.
        """
        known = ["relu" + name.removeprefix("conv") for name in torchvision_indices(self.depth)]
        for tap in self.taps:
            if tap not in known:
                raise UserError(f"tap {tap!r} is not in VGG-{self.depth}{near_misses(tap, known)}")
        found: dict[str, jax.Array] = {}
        for tap in known[: 1 + max(known.index(t) for t in self.taps)]:
            block, i = tap.removeprefix("relu").split("_")
            if i == "1" and block != "1":
                x = self.pool(x)
            width = _WIDTHS[int(block) - 1] // self.divisor
            x = nn.relu(Conv(width, name=f"conv{block}_{i}")(x))
            found[tap] = x
        return tuple(found[tap] for tap in self.taps)
