"""The convolutional part of SqueezeNet 1.1."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.layers import Conv

__all__ = ["SqueezeNet"]

# Place in torchvision's `features`, and the squeezed width; both expansions are four times as wide.
_FIRES = {3: 16, 4: 16, 6: 32, 7: 32, 9: 48, 10: 48, 11: 64, 12: 64}
_POOL_BEFORE = (3, 6, 9)
# LPIPS reads the activation behind the first convolution and behind these.
_TAPS = (4, 7, 9, 10, 11, 12)


def _pool(x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead _ _ c"]:
    # 3x3, stride 2, sizes rounded up: the last window may hang over by one pixel.
    reach = tuple((0, (n - 3) % 2) for n in x.shape[-3:-1])
    return nn.max_pool(x, (3, 3), (2, 2), padding=reach)


class Fire(nn.Module):
    """A 1x1 convolution, and a 1x1 and a 3x3 one on its result, side by side."""

    squeezed: int  # channels between

    @nn.compact
    def __call__(self, x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h w f"]:
        """Returns eight times ``squeezed`` channels."""
        x = nn.relu(Conv(self.squeezed, 1, name="squeeze")(x))
        parts = [
            nn.relu(Conv(4 * self.squeezed, size, name=f"expand{size}x{size}")(x))
            for size in (1, 3)
        ]
        return jnp.concatenate(parts, axis=-1)


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1's seven activations that LPIPS reads."""

    divisor: int = 1  # every width is divided by it: 1, or up to 16 in tests

    @nn.compact
    def __call__(self, x: Float[Array, "*lead h w c"]) -> tuple[Float[Array, "*lead _ _ _"], ...]:
        """Returns 64, 128, 256, 384, 384, 512 and 512 channels; 17 pixels a side are the least."""
        x = nn.relu(Conv(64 // self.divisor, 3, stride=2, padding=0, name="conv1")(x))
        taps = [x]
        for place, squeezed in _FIRES.items():
            if place in _POOL_BEFORE:
                x = _pool(x)
            x = Fire(squeezed // self.divisor, name=f"fire{place}")(x)
            if place in _TAPS:
                taps.append(x)
        return tuple(taps)
