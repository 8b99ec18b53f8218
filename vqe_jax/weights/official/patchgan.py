"""Official names of the patch discriminator (SaipingZhang/PeQuENet, the same in DCNGAN)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from vqe_jax.nn.patchgan import PatchDiscriminator
from vqe_jax.weights.conversion import Tensor, batch_norm, conv

__all__ = ["IGNORED", "tensors", "variable_shapes"]

IGNORED = (r"num_batches_tracked$",)


def tensors(**_: Any) -> dict[str, Tensor]:
    """Which official tensor each of the discriminator's variables is."""
    table = conv("score", "conv5")
    for i in range(1, 5):
        table |= conv(f"conv{i}", f"conv{i}")
        if i > 1:
            table |= batch_norm(f"norm{i}", f"conv{i}_bn")
    return table


def variable_shapes(**kwargs: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the variables of ``PatchDiscriminator(**kwargs)`` by path.

    Example:
      >>> import math
      >>> shapes = variable_shapes(features=32)
      >>> sum(math.prod(s) for p, s in shapes.items() if p.startswith("params/"))
      694113
    """
    network = PatchDiscriminator(**kwargs)
    frames = jax.ShapeDtypeStruct((1, 64, 64, network.channels), jnp.float32)
    tree = jax.eval_shape(network.init, jax.random.key(0), frames)
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(str(k.key) for k in path): tuple(leaf.shape) for path, leaf in leaves}
