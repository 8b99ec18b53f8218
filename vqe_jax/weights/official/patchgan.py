"""The patch discriminator under the names of SaipingZhang/PeQuENet (the same in DCNGAN)."""

from typing import Any

from vqe_jax.models.shapes import module_shapes
from vqe_jax.nn.patchgan import PatchDiscriminator
from vqe_jax.weights.rules import Rules

__all__ = ["RULES", "variable_shapes"]

RULES: Rules = ((r"score", "conv5"), (r"conv(\d)", r"conv\1"), (r"norm(\d)", r"conv\1_bn"))


def variable_shapes(**kwargs: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the variables of ``PatchDiscriminator(**kwargs)`` by path.

    Example:
      >>> import math
      >>> shapes = variable_shapes(features=32)
      >>> sum(math.prod(s) for p, s in shapes.items() if p.startswith("params/"))
      694113
    """
    network = PatchDiscriminator(**kwargs)
    return module_shapes(network, (1, 64, 64, network.channels))
