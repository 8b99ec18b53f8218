"""Variables of a network of which none is zero, as fresh offsets and biases would be."""

import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax.models.shapes import initial_variables


def random_variables(network, seed=1, scale=0.2):
    """Normally distributed, nothing compiled."""
    shapes = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, scale, x.shape), jnp.float32), shapes)
