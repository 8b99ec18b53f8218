"""DCAD under PowerQE's names."""

from vqe_jax.weights.official.dncnn import rules

__all__ = ["rules"]
