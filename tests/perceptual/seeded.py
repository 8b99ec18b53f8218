"""Random variables without compiling an initialisation."""

import jax
import numpy as np


def seeded(module, *args, seed=0):
    """Variables of a module as seeded numpy arrays that keep activations near unit size.

    Kernels are scaled by their fan-in, biases and means are small, everything else lies around 1.
    """
    rng = np.random.default_rng(seed)

    def draw(path, spec):
        leaf = path[-1].key
        if leaf == "kernel":
            value = rng.standard_normal(spec.shape) * np.sqrt(2 / np.prod(spec.shape[:-1]))
        elif leaf in ("bias", "mean"):
            value = 0.1 * rng.standard_normal(spec.shape)
        else:
            value = rng.uniform(0.5, 1.5, spec.shape)
        return value.astype(np.float32)

    return jax.tree.map_with_path(draw, jax.eval_shape(module.init, jax.random.key(0), *args))
