"""Model files, the packaged defaults, and conversion from official PyTorch names."""

from vqe_jax.weights.conversion import from_torch, to_torch
from vqe_jax.weights.model_file import (
    DEFAULT_MODEL,
    ModelFile,
    load_model,
    packaged_models,
    save_model,
)
from vqe_jax.weights.perceptual import PerceptualWeights, load_perceptual
from vqe_jax.weights.specialists import packaged_for

__all__ = [
    "DEFAULT_MODEL",
    "ModelFile",
    "PerceptualWeights",
    "from_torch",
    "load_model",
    "load_perceptual",
    "packaged_for",
    "packaged_models",
    "save_model",
    "to_torch",
]
