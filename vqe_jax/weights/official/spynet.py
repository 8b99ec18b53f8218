"""SPyNet by itself under mmediting's names; BasicSR's and pytorch-spynet's are understood too.

The published weights (license: non-commercial research only) start the training of BasicVSR:
``from_torch("spynet", tensors)["params"]`` is the subtree ``spynet`` of its parameters.
"""

from typing import Any

from vqe_jax.models.shapes import module_shapes
from vqe_jax.nn.flow import SPyNet
from vqe_jax.weights.rules import Rules

__all__ = ["DEAD", "RENAMES", "RULES", "variable_shapes"]

RULES: Rules = ((r"level(\d+)/conv(\d+)", r"basic_module.\1.basic_module.\2.conv"),)
# Normalization buffers, which are constants here.
DEAD = (r"(^|\.)(mean|std)$",)
RENAMES = (
    (r"moduleBasic|netBasic", "basic_module"),
    # Elsewhere activations are counted too, so convolutions have even numbers.
    (
        r"(basic_module\.\d+\.basic_module)\.(\d+)\.(weight|bias)$",
        lambda m: f"{m[1]}.{int(m[2]) // 2}.conv.{m[3]}",
    ),
)


def variable_shapes(**kwargs: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the variables of ``SPyNet(**kwargs)`` by path."""
    return module_shapes(SPyNet(**kwargs), (1, 32, 32, 3), (1, 32, 32, 3))
