"""Model files, the packaged defaults, and conversion from official PyTorch names."""

from vqe_jax.weights.conversion import from_torch, to_torch
from vqe_jax.weights.model_file import ModelFile, load_model, packaged_models, save_model

__all__ = ["ModelFile", "from_torch", "load_model", "packaged_models", "save_model", "to_torch"]
