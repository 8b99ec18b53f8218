"""AR-CNN under PowerQE's names."""

from vqe_jax.weights.rules import Rules

__all__ = ["RULES"]

RULES: Rules = ((r"conv(\d)", lambda m: f"layers.{2 * int(m[1])}"),)
