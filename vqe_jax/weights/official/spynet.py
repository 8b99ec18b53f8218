"""SPyNet by itself, as mmediting, BasicSR and the pytorch-spynet port name it.

The published weights (licence: non-commercial research only) start the training of BasicVSR:
``from_torch("spynet", tensors)["params"]`` is the subtree ``spynet`` of its parameters.
"""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp

from vqe_jax.nn.flow import SPyNet
from vqe_jax.weights.conversion import Tensor, conv

__all__ = ["IGNORED", "rename", "tensors", "variable_shapes"]

# Normalisation buffers, which are constants here.
IGNORED = (r"^(spynet\.)?(mean|std)$",)

_NUMBERED = re.compile(r"(.*basic_module\.\d+\.basic_module\.)(\d+)\.(weight|bias)$")


def rename(key: str) -> str:
    """A tensor's name in mmediting's spelling.

    Example:
      >>> rename("basic_module.0.basic_module.2.weight")
      'basic_module.0.basic_module.1.conv.weight'
    """
    key = re.sub(r"moduleBasic|netBasic", "basic_module", key)
    if found := _NUMBERED.match(key):
        # Elsewhere activations are counted too, so convolutions have even numbers.
        return f"{found[1]}{int(found[2]) // 2}.conv.{found[3]}"
    return key


def tensors(*, levels: int = 6, widths: tuple[int, ...] = (32, 64, 32, 16)) -> dict[str, Tensor]:
    """Our variables and the official tensors they are; the arguments are SPyNet's fields."""
    table: dict[str, Tensor] = {}
    for level in range(levels):
        for k in range(len(widths) + 1):
            official = f"basic_module.{level}.basic_module.{k}.conv"
            table |= conv(f"level{level}/conv{k}", official)
    return table


def variable_shapes(
    *, levels: int = 6, widths: tuple[int, ...] = (32, 64, 32, 16)
) -> dict[str, tuple[int, ...]]:
    """Shapes of all variables by path; nothing is computed."""
    frame = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    tree = jax.eval_shape(SPyNet(levels, widths).init, jax.random.key(0), frame, frame)
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(str(k.key) for k in path): tuple(leaf.shape) for path, leaf in leaves}
