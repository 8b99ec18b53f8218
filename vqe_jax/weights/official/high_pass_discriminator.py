"""The Shannon team's discriminator under the names of dwHou/RestorCompressed."""

from typing import Any

from vqe_jax.models.shapes import module_shapes
from vqe_jax.nn.high_pass_discriminator import HighPassDiscriminator
from vqe_jax.weights.rules import Rules

__all__ = ["DEAD", "RULES", "variable_shapes"]

RULES: Rules = (
    (r"conv(\d_\d)", r"conv\1"),
    (r"norm(\d_\d)", r"bn\1"),
    (r"score(\d)", lambda m: f"patch_classification.{2 * int(m[1])}"),
)
# A head for one score a frame, which nothing reads.
DEAD = (r"^classification\.",)


def variable_shapes(**kwargs: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the variables of ``HighPassDiscriminator(**kwargs)`` by path.

    Example:
      >>> import math
      >>> shapes = variable_shapes()
      >>> sum(math.prod(s) for p, s in shapes.items() if p.startswith("params/"))
      11878881
    """
    network = HighPassDiscriminator(**kwargs)
    return module_shapes(network, (1, 64, 64, network.channels))
