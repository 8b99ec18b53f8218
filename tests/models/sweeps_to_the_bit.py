"""Networks whose sweeps differ from the whole clip, a line each; compiled as users compile.

The suite's compiler flags change how XLA fuses, and with it the last bit: this runs without.
"""

import jax
import jax.numpy as jnp
import numpy as np

from tests.models.random_variables import random_variables
from vqe_jax import models
from vqe_jax.inference.bidirectional import exact

FLOW = {"features": 4, "blocks": 1, "flow_levels": 2, "flow_widths": (4,)}
NETWORKS = [
    ("basicvsr", FLOW),
    ("basicvsrpp", FLOW | {"reconstruction_blocks": 1, "deform_groups": 4}),
    *(("astf", FLOW | {"unroll": 1, "output": x}) for x in ("stage1", "enhance2", "fuse_sharp")),
]


def main() -> None:
    """Compares them one after the other."""
    clip = np.random.default_rng(1).random((4, 64, 68, 3), np.float32)
    for name, fields in NETWORKS:
        network = models.build(name, **fields)
        variables = random_variables(network, scale=0.12)
        whole = jax.jit(network.apply)(variables, jnp.asarray(clip)[None])
        swept = np.stack(list(exact(network, variables, None, iter(clip))))
        assert not np.array_equal(swept, clip), name
        if not np.array_equal(swept, whole[0]):
            print(name, fields, float(np.abs(swept - whole[0]).max()))


if __name__ == "__main__":
    main()
