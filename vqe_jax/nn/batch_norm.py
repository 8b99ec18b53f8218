"""Batch normalisation with PyTorch's running statistics.

Flax's own keeps the biased variance; PyTorch normalises with that but keeps the unbiased one, and
official checkpoints were made so. Under ``jit`` over a mesh the mean over the batch is the mean
over all devices, so the statistics are synchronised without further ado.
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vqe_jax.nn.initializers import Init

__all__ = ["BatchNorm"]


class BatchNorm(nn.Module):
    """Normalises each channel over all other axes.

    Running statistics live in the collection ``batch_stats``; they move in training calls for
    which that collection is mutable.
    """

    momentum: float = 0.1  # share of the new batch in the running statistics
    epsilon: float = 1e-5  # added to the variance
    scale_init: Init = nn.initializers.ones  # the official GANs draw it around one

    @nn.compact
    def __call__(self, x: Float[Array, "*lead c"], *, train: bool) -> Float[Array, "*lead c"]:
        """Normalises by the batch's statistics in training, by the running ones otherwise."""
        channels = x.shape[-1]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        running_var = self.variable("batch_stats", "var", jnp.ones, (channels,))
        scale = self.param("scale", self.scale_init, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        if train:
            mean, var = self._batch_statistics(x, running_mean, running_var)
        else:
            mean, var = running_mean.value, running_var.value
        gain = scale * jax.lax.rsqrt(var + self.epsilon)
        shape = (1,) * (x.ndim - 1) + (channels,)
        offset = (bias - mean * gain).reshape(shape)
        return x * gain.reshape(shape).astype(x.dtype) + offset.astype(x.dtype)

    def _batch_statistics(
        self, x: jax.Array, running_mean: nn.Variable[Any], running_var: nn.Variable[Any]
    ) -> tuple[jax.Array, jax.Array]:
        """Mean and biased variance of this batch; moves the running ones."""
        values = x.astype(jnp.float32)
        axes = tuple(range(x.ndim - 1))
        mean, var = values.mean(axes), values.var(axes)
        if self.is_mutable_collection("batch_stats") and not self.is_initializing():
            count = x.size // x.shape[-1]
            unbiased = var * (count / max(count - 1, 1))
            keep = 1 - self.momentum
            running_mean.value = keep * running_mean.value + self.momentum * mean
            running_var.value = keep * running_var.value + self.momentum * unbiased
        return mean, var
