"""The initialisations that the official implementations rely on."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax.linen import initializers

__all__ = [
    "INPUT_GAIN",
    "Init",
    "beside",
    "high_pass",
    "kaiming_normal",
    "uniform_bias",
    "uniform_fan_in",
]

# (key, shape, dtype) -> array.
Init = Callable[..., jax.Array]

# Of high-pass kernels on pictures: edges and artefacts are about a tenth of the brightness.
INPUT_GAIN = 10.0


def uniform_fan_in() -> Init:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): PyTorch's default for convolutions and dense layers."""
    return initializers.variance_scaling(1 / 3, "fan_in", "uniform")


@functools.cache  # one function for all layers of a size, which checks of types wrap once
def uniform_bias(fan_in: int) -> Init:
    """The bias that goes with :func:`uniform_fan_in`; ``fan_in`` is that of the layer's kernel."""
    limit = 1 / math.sqrt(fan_in)

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32, **_: Any) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)

    return init


def kaiming_normal(scale: float = 1.0, *, negative_slope: float = 0.0) -> Init:
    """Kaiming's normal initialisation over the fan-in, times ``scale``.

    Residual blocks of BasicVSR and EDVR use ``scale`` 0.1 so that they start near the identity.
    """
    gain = 2 / (1 + negative_slope**2)
    return initializers.variance_scaling(gain * scale**2, "fan_in", "normal")


def beside(first: Init, count: int, rest: Init) -> Init:
    """``first`` for a kernel's first ``count`` input channels, ``rest`` for the others."""

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32, **_: Any) -> jax.Array:
        *window, inputs, outputs = shape
        keys = jax.random.split(key)
        parts = (
            first(keys[0], (*window, count, outputs), dtype),
            rest(keys[1], (*window, inputs - count, outputs), dtype),
        )
        return jnp.concatenate(parts, axis=-2)

    return init


def high_pass(gain: float = 1.0) -> Init:
    """Kaiming's normal initialisation with the mean over the kernel's window taken off, times gain.

    A first layer of such kernels passes edges and coding artefacts and no brightness. Their
    amplitude in pictures is a tenth of the brightness or less, so ``gain`` lifts it to about one.
    """
    kaiming = kaiming_normal(gain)

    def init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32, **_: Any) -> jax.Array:
        kernel = kaiming(key, shape, dtype)
        return kernel - kernel.mean(axis=tuple(range(len(shape) - 2)), keepdims=True)

    return init
