"""DnCNN and DCAD under PowerQE's names: entries of one sequence, activations counted."""

from typing import Any

from vqe_jax.weights.rules import Rules

__all__ = ["rules"]


def rules(*, depth: int, bn: bool, **_: Any) -> Rules:
    """A hidden layer is a ReLU, a convolution and, with ``bn``, a normalization."""
    size = 3 if bn else 2
    return (
        (r"first", "layers.0"),
        (r"conv(\d+)", lambda m: f"layers.{2 + size * int(m[1])}"),
        (r"bn(\d+)", lambda m: f"layers.{3 + size * int(m[1])}"),
        (r"last", f"layers.{2 + size * depth}"),
    )
