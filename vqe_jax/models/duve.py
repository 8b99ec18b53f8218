"""DUVE: two U-Nets, the first on triplets of frames, the second on what they give together.

VIP&DJI, NTIRE 2021, track 3 (Yang et al., "NTIRE 2021 Challenge on Quality Enhancement of
Compressed Video: Methods and Results", CVPRW 2021, sec. 4.12 and Fig. 13), after FastDVDnet and
DRN.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.models.families import check_reduction
from vqe_jax.nn.channel_attention import RCAB
from vqe_jax.nn.initializers import kaiming_normal
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.nn.remat import recomputed
from vqe_jax.ops.shuffle import pixel_shuffle

__all__ = ["DUVE"]

Maps = Float[Array, "n h w f"]

_LEVELS = 3
_TRIPLETS = 3
_INIT = kaiming_normal(0.1)


class DUVE(WindowNetwork):
    """Five frames as three triplets, features of each, their fusion, the middle frame.

    The sides are multiples of 8. The picture is the last convolution's result, without the frame.
    """

    channels: int = 3
    features: int = 64
    blocks1: int = 6  # residual blocks a level of the first U-Net
    blocks2: int = 10  # the same of the second, and at its end
    reduction: int = 16  # channels to each of a channel attention's bottleneck
    residual: bool = False  # add the middle frame to the result; not in the paper
    remat: bool | None = None  # recompute each level in the backward pass; None: where memory asks
    radius: int = 2

    def __post_init__(self) -> None:
        check_reduction(self, self.features, "features")
        super().__post_init__()

    @property
    def context(self) -> Context:
        """A window; channel attention sees the whole frame."""
        return Context(past=self.radius, future=self.radius, multiple=2**_LEVELS)

    @nn.compact
    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """The report's Fig. 13-(a)."""
        x = nn.relu(Conv(self.features, kernel_init=_INIT, name="conv_head")(_triplets(windows)))
        tail = Conv(self.features, kernel_init=_INIT, name="coarse_tail")
        x = tail(self._unet(self.blocks1, "coarse")(x))
        x = x.reshape(-1, _TRIPLETS, *x.shape[1:])
        # The outer triplets are filtered by an activation, the middle one is not.
        parts = [leaky_relu(x[:, 0]), x[:, 1], leaky_relu(x[:, 2])]
        x = Conv(self.features, kernel_init=_INIT, name="fuse")(jnp.concatenate(parts, axis=-1))
        x = self._unet(self.blocks2, "fine")(x)
        x = begin = Conv(self.features, kernel_init=_INIT, name="fine_tail")(x)
        for k in range(self.blocks2):
            x = _block(self.features, self.reduction, f"block{k}")(x)
        x = Conv(self.channels, kernel_init=_INIT, name="conv_tail")(x + begin)
        return x + windows[:, self.radius] if self.residual else x

    def _unet(self, blocks: int, name: str) -> _UNet:
        return _UNet(self.features, blocks, self.reduction, remat=self.remat, name=name)


class _UNet(nn.Module):
    """Strided convolutions down, residual channel attention and pixel shuffles up."""

    features: int  # at full size
    blocks: int  # a level
    reduction: int
    remat: bool | None

    @nn.compact
    def __call__(self, x: Maps) -> Float[Array, "n h w g"]:
        """Features at full size, twice as many: those that came up and those that came in."""
        wrap = recomputed(self.remat)
        skips = []
        for level in range(_LEVELS):
            skips.append(x)
            width = self.features * 2**level
            strided = Conv(
                width,
                stride=2,
                padding=1,
                use_bias=False,
                kernel_init=_INIT,
                name=f"strided{level}",
            )
            wider = Conv(2 * width, use_bias=False, kernel_init=_INIT, name=f"wider{level}")
            x = wider(leaky_relu(strided(x)))
        for level in reversed(range(_LEVELS)):
            up = wrap(_Up)(self.features * 2**level, self.blocks, self.reduction, name=f"up{level}")
            x = jnp.concatenate([up(x), skips[level]], axis=-1)
        return x


class _Up(nn.Module):
    """Residual blocks, twice the size by a pixel shuffle, fewer channels."""

    features: int  # of the result
    blocks: int
    reduction: int

    @nn.compact
    def __call__(self, x: Float[Array, "n h2 w2 g"]) -> Maps:
        """Doubles the size."""
        width = x.shape[-1]
        for k in range(self.blocks):
            x = _block(width, self.reduction, f"block{k}")(x)
        shuffled = Conv(4 * width, use_bias=False, kernel_init=_INIT, name="shuffle")(x)
        narrow = Conv(self.features, 1, use_bias=False, kernel_init=_INIT, name="narrow")
        return narrow(pixel_shuffle(shuffled, 2))


def _block(features: int, reduction: int, name: str) -> RCAB:
    return RCAB(features // reduction, activation=leaky_relu, kernel_init=_INIT, name=name)


def _triplets(windows: Float[Array, "n k h w c"]) -> Float[Array, "m h w s"]:
    """Overlapping triplets as batch entries, their channels ordered color, then time."""
    n, _, h, w, c = windows.shape
    groups = jnp.stack([windows[:, i : i + 3] for i in range(_TRIPLETS)], axis=1)
    return groups.transpose(0, 1, 3, 4, 5, 2).reshape(n * _TRIPLETS, h, w, c * 3)
