"""DCNGAN: deformable alignment of three frames, then a residual encoder-decoder with batch norm.

The sibling of PeQuENet by the same authors (arXiv 2201.08944): STDF's fusion joins the frame with
its neighbors, and the global generator of pix2pixHD makes the picture, its residual blocks scaled
by one vector made from the QP. As there, the output is the picture through a tanh, without a
residual to the input.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.nn.batch_norm import BatchNorm
from vqe_jax.nn.frame_windows import frame_stack
from vqe_jax.nn.layers import Conv
from vqe_jax.nn.qp_conditioning import Conditioning, QPConditioning
from vqe_jax.nn.stdf_fusion import STDFFusion
from vqe_jax.ops.resample import resize_bilinear

__all__ = ["DCNGAN", "GlobalGenerator"]

Clip = Float[Array, "b t h w c"]
Map = Float[Array, "b _ _ _"]  # sizes and channels change inside

_DOUBLINGS = 3  # strided convolutions, and as many doublings back


def _conv(features: int, kernel_size: int = 3, stride: int = 1, **options: Any) -> Conv:
    """The official initialisation: N(0, 0.02) for kernels, PyTorch's default for biases."""
    normal = nn.initializers.normal(0.02)
    return Conv(features, kernel_size, stride, kernel_init=normal, **options)


def _norm(name: str) -> BatchNorm:
    def around_one(key: jax.Array, shape: tuple[int, ...], *_: object) -> jax.Array:
        return 1 + 0.02 * jax.random.normal(key, shape, jnp.float32)

    return BatchNorm(scale_init=around_one, name=name)


def _reflect(x: Map, size: int) -> Map:
    return jnp.pad(x, [(0, 0), (size, size), (size, size), (0, 0)], mode="reflect")


class QPResidualBlock(nn.Module):
    """Two convolutions with batch norm; the first is scaled by the QP's factors."""

    @nn.compact
    def __call__(self, x: Map, factors: Float[Array, "b 1 1 c"] | None, *, train: bool) -> Map:
        """``x`` plus the residual; there is no activation after the sum."""
        channels = x.shape[-1]
        y = _conv(channels, padding=0, name="conv1")(_reflect(x, 1))
        if factors is not None:
            y = y * factors
        y = nn.relu(_norm("norm1")(y, train=train))
        y = _conv(channels, padding=0, name="conv2")(_reflect(y, 1))
        return x + _norm("norm2")(y, train=train)


class GlobalGenerator(nn.Module):
    """The quality enhancement part: down by eight, residual blocks, and up again."""

    features: int = 64  # channels at full size; they double three times
    blocks: int = 9  # residual blocks
    channels: int = 1  # of the picture
    conditioning: Conditioning | None = Conditioning()  # None: not told the QP

    @nn.compact
    def __call__(self, x: Map, qp: Int[Array, " b"] | None, *, train: bool) -> Map:
        """The picture, in (-1, 1); sides must be multiples of 8."""
        factors = None
        if self.conditioning:
            width = self.features * 2**_DOUBLINGS
            told = QPConditioning(
                width, self.conditioning.qps, self.conditioning.interpolate, name="conditioning"
            )
            factors = told(qp)[:, None, None].astype(x.dtype)
        x = _conv(self.features, 7, padding=0, name="conv_in")(_reflect(x, 3))
        x = nn.relu(_norm("norm_in")(x, train=train))
        for i in range(1, _DOUBLINGS + 1):
            x = _conv(self.features * 2**i, stride=2, name=f"down{i}")(x)
            x = nn.relu(_norm(f"down_norm{i}")(x, train=train))
        for i in range(self.blocks):
            x = QPResidualBlock(name=f"block{i}")(x, factors, train=train)
        for i in reversed(range(_DOUBLINGS)):
            x = resize_bilinear(x, (2 * x.shape[1], 2 * x.shape[2]))
            x = _conv(self.features * 2**i, name=f"up{i}")(x)
            x = nn.relu(_norm(f"up_norm{i}")(x, train=train))
        return jnp.tanh(_conv(self.channels, 7, padding=0, name="conv_out")(_reflect(x, 3)))


class DCNGAN(WindowNetwork):
    """The generator; 45,979,186 parameters."""

    features: int = 64  # of the generator at full size
    blocks: int = 9  # residual blocks
    fusion_features: int = 32  # of the alignment's hidden layers
    fusion_depth: int = 3  # scales of the alignment
    fused_features: int = 64  # channels between alignment and generator
    conditioning: Conditioning | None = Conditioning()  # None: not told the QP

    @property
    def context(self) -> Context:
        """One neighbor on each side; offsets of the alignment are not bounded."""
        return Context(past=1, future=1, multiple=8, min_side=16)

    def setup(self) -> None:
        """Alignment and generator."""
        self.fusion = STDFFusion(self.fusion_features, self.fused_features, self.fusion_depth)
        self.generator = GlobalGenerator(
            self.features,
            self.blocks,
            self.channels,
            self.conditioning,
        )

    def enhance(
        self, windows: Float[Array, "n k h w c"], side: Side = Side(), *, train: bool = False
    ) -> Float[Array, "n h w c"]:
        """All windows in one batch, so that batch norm sees them together."""
        return self.generator(self.fusion(frame_stack(windows)), side.qp, train=train)
