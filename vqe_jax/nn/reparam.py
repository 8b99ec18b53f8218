"""A convolution that is trained as several branches and runs as one.

RepVGG (Ding et al., CVPR 2021, Section 3.3), without its batch normalization: a sum of linear
branches is one linear map, so branches that help training cost nothing afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax.linen import initializers
from jax import lax
from jaxtyping import Array, Float

from vqe_jax.nn.initializers import Init, kaiming_normal

__all__ = ["RepConv", "fold", "fold_kernel"]


class RepConv(nn.Module):
    """A 3x3 convolution; in training the sum of three branches: 3x3, 1x1 and the identity.

    Training adds the kernels of the branches and not their results, which is the same map at the
    price of one convolution. The identity, a factor a channel, is there where the channels stay.
    """

    features: int  # output channels
    folded: bool = False  # one kernel and a bias, what ``fold`` makes of the branches
    kernel_init: Init | None = None  # of the 3x3 branch; None: Kaiming's at half its amplitude
    passes: float = 1.0  # what the identity begins with

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w f"]:
        """Convolves; zeros outside."""
        kernel, bias = self._weights(x.shape[-1])
        y = lax.conv_general_dilated(
            x, kernel.astype(x.dtype), (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return y + bias.astype(x.dtype)[None, None, None]

    def _weights(self, inputs: int) -> tuple[Array, Array]:
        whole = self.features
        quiet = self.kernel_init or kaiming_normal(0.5)
        branches = {"kernel": self.param("kernel", quiet, (3, 3, inputs, whole))}
        bias = self.param("bias", initializers.zeros, (whole,))
        if self.folded:
            return jnp.asarray(branches["kernel"]), jnp.asarray(bias)
        branches["point"] = self.param("point", initializers.zeros, (inputs, whole))
        if inputs == whole:
            begin = initializers.constant(self.passes)
            branches["identity"] = self.param("identity", begin, (whole,))
        return fold_kernel(branches), jnp.asarray(bias)


def fold_kernel(branches: Mapping[str, Any]) -> Float[Array, "3 3 c f"]:
    """The one kernel that does what the branches do together.

    Args:
      branches: parameters of an unfolded :class:`RepConv`, its bias set aside.
    """
    center = jnp.asarray(branches["point"])
    if "identity" in branches:
        center = center + jnp.diag(jnp.asarray(branches["identity"]))
    return jnp.asarray(branches["kernel"]).at[1, 1].add(center)


def fold(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of the folded network, whose ``folded`` is True.

    Args:
      variables: of a network with :class:`RepConv` in it; what is folded already stays.
    """
    if "point" in variables:
        return {"kernel": fold_kernel(variables), "bias": variables["bias"]}
    return {k: fold(v) if isinstance(v, Mapping) else v for k, v in variables.items()}
