"""The initialisations that the official implementations rely on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax.linen import initializers
from jax.nn.initializers import Initializer

__all__ = ["kaiming_normal", "uniform_bias", "uniform_fan_in"]


def uniform_fan_in() -> Initializer:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): the default of PyTorch's convolutions and dense layers."""
    return initializers.variance_scaling(1 / 3, "fan_in", "uniform")


def uniform_bias(fan_in: int) -> Initializer:
    """The bias that goes with :func:`uniform_fan_in`; ``fan_in`` is that of the layer's kernel."""
    limit = 1 / math.sqrt(fan_in)

    def init(key: jax.Array, shape: Sequence[int], dtype: object = jnp.float32) -> jax.Array:
        return jax.random.uniform(key, shape, dtype, -limit, limit)  # type: ignore[arg-type]

    return init


def kaiming_normal(scale: float = 1.0, *, negative_slope: float = 0.0) -> Initializer:
    """Kaiming's normal initialisation over the fan-in, times ``scale``.

    Residual blocks of BasicVSR and EDVR use ``scale`` 0.1 so that they start near the identity.
    """
    gain = 2 / (1 + negative_slope**2)
    return initializers.variance_scaling(gain * scale**2, "fan_in", "normal")
