"""Turn official PyTorch weights into a model file: ``python examples/convert_weights.py``.

The command is ``python -m vqe_jax.weights convert stdf official.pth stdf.safetensors``; this is
what it does. Without a file at hand, tensors with the official names are made up.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax import models, weights
from vqe_jax.models.shapes import initial_variables

FIELDS = {"radius": 1, "features": 4, "depth": 1, "fused_features": 4, "qe_features": 4}


def made_up(name, fields):
    """What ``torch.load(path, weights_only=True)`` would give, as NumPy arrays by name."""
    network = models.build(name, **fields)
    return weights.to_torch(name, initial_variables(network, jax.random.key(0)), **fields)


def main(target=Path("runs/converted.safetensors"), name="stdf", fields=FIELDS):
    """Converts, saves, loads, and compares with where it came from."""
    official = made_up(name, fields)
    variables = weights.from_torch(name, official, **fields)  # strict: every tensor has its place
    file = weights.ModelFile(name, fields, variables, source="made up, for the example")
    weights.save_model(target, file)

    loaded = weights.load_model(target)
    clip = jnp.full((1, 3, 32, 32, 1), 0.5)
    picture = loaded.build().apply(loaded.variables, clip)
    back = weights.to_torch(name, loaded.variables, **fields)
    same = all(np.array_equal(official[key], back[key]) for key in official)
    print(f"{target}: {len(back)} tensors, picture {picture.shape}, round trip exact: {same}")
    return same


if __name__ == "__main__":
    main()
