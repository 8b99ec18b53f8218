"""Convolutions with PyTorch's padding, initialisation and parameter meaning.

Kernels are HWIO. ``padding`` counts pixels on every side (None: what keeps the size at stride 1).
"""

from __future__ import annotations

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.initializers import Init, uniform_bias, uniform_fan_in
from vqe_jax.ops.conv2d import conv2d
from vqe_jax.ops.conv3d import conv3d
from vqe_jax.ops.conv_transpose import conv_transpose
from vqe_jax.ops.shuffle import unshuffled_kernel

__all__ = ["Conv", "Conv3D", "ConvTranspose", "PReLU", "leaky_relu"]


def leaky_relu(x: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """Leaky ReLU with slope 0.1, the one that nearly all networks of the field use."""
    return nn.leaky_relu(x, 0.1)


class Conv(nn.Module):
    """A 2-D convolution over ``[..., h, w, c]``."""

    features: int  # output channels
    kernel_size: int | tuple[int, int] = 3
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    padding: int | None = None  # pixels on every side; None keeps the size at stride 1
    use_bias: bool = True
    kernel_init: Init | None = None  # None: uniform over the fan-in, as in PyTorch
    bias_init: Init | None = None  # None: the same
    blocks: int = 1  # side of the blocks of pixels that maps hold in their channels

    @nn.compact
    def __call__(self, x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h2 w2 f"]:
        """Convolves; leading axes are batch axes.

        With ``blocks`` above 1 it takes pixel-unshuffled maps and gives such: the same function of
        the pictures by the same parameters, for odd square kernels at stride 1 without groups.
        """
        size = self.kernel_size
        kh, kw = (size, size) if isinstance(size, int) else size
        in_channels = x.shape[-1] // self.groups // self.blocks**2
        kernel_shape = (kh, kw, in_channels, self.features)
        kernel = self.param("kernel", self.kernel_init or uniform_fan_in(), kernel_shape)
        if self.blocks > 1:
            kernel = unshuffled_kernel(jnp.asarray(kernel), self.blocks)
            kh, kw = kernel.shape[:2]
        reach = [
            self.dilation * (k - 1) // 2 if self.padding is None else self.padding for k in (kh, kw)
        ]
        lead = x.shape[:-3]
        y = conv2d(
            x.reshape(-1, *x.shape[-3:]),
            jnp.asarray(kernel, x.dtype),
            self.stride,
            reach,
            dilation=self.dilation,
            groups=self.groups,
        )
        if self.use_bias:
            init = self.bias_init or uniform_bias(math.prod(kernel_shape[:3]))
            bias = self.param("bias", init, (self.features,)).astype(x.dtype)
            y = y + jnp.repeat(bias, self.blocks**2)[None, None, None]
        return y.reshape(*lead, *y.shape[1:])


class Conv3D(nn.Module):
    """A convolution over time, height and width that keeps their sizes; zeros outside."""

    features: int  # output channels
    kernel_size: int = 3  # odd, along each axis

    @nn.compact
    def __call__(self, x: Float[Array, "b t h w c"]) -> Float[Array, "b t h w f"]:
        """Convolves."""
        k, channels = self.kernel_size, x.shape[-1]
        kernel = self.param("kernel", uniform_fan_in(), (k, k, k, channels, self.features))
        bias = self.param("bias", uniform_bias(k**3 * channels), (self.features,))
        y = conv3d(x, jnp.asarray(kernel, x.dtype))
        return y + bias.astype(x.dtype)[None, None, None, None]


class ConvTranspose(nn.Module):
    """A transposed convolution; sizes grow to ``(n - 1) * stride - 2 * padding + kernel_size``.

    The kernel is that of the equal convolution over the input dilated by the stride.
    """

    features: int
    kernel_size: int = 4
    stride: int = 2
    padding: int = 1
    use_bias: bool = True
    kernel_init: Init | None = None  # None and below: PyTorch's default
    bias_init: Init | None = None

    @nn.compact
    def __call__(self, x: Float[Array, "*lead h w c"]) -> Float[Array, "*lead h2 w2 f"]:
        """Convolves; leading axes are batch axes."""
        k = self.kernel_size
        # PyTorch takes the fan-in of a transposed convolution from its output channels.
        limit = uniform_bias(self.features * k * k)
        kernel = self.param("kernel", self.kernel_init or limit, (k, k, x.shape[-1], self.features))
        lead = x.shape[:-3]
        y = conv_transpose(
            x.reshape(-1, *x.shape[-3:]), jnp.asarray(kernel, x.dtype), self.stride, self.padding
        )
        if self.use_bias:
            init = self.bias_init or limit
            y = y + self.param("bias", init, (self.features,)).astype(x.dtype)[None, None, None]
        return y.reshape(*lead, *y.shape[1:])


class PReLU(nn.Module):
    """Leaky ReLU with a learned slope: one for all channels, or one a channel."""

    per_channel: bool = False
    initial: float = 0.25

    @nn.compact
    def __call__(self, x: Float[Array, "*lead c"]) -> Float[Array, "*lead c"]:
        """Applies the activation."""
        shape = (x.shape[-1],) if self.per_channel else (1,)
        slope = self.param("slope", nn.initializers.constant(self.initial), shape)
        slope = slope.astype(x.dtype).reshape((1,) * (x.ndim - 1) + shape)
        return jnp.where(x >= 0, x, slope * x)
