import jax
import jax.numpy as jnp
import numpy as np

from tests.models.golden import load
from vqe_jax.nn.deformable_attention import DSTA, DSTA_MIN_SIDE

RENAMED = {"down_conv2.0": "down_conv2", "conv_du.0": "squeeze", "conv_du.2": "excite"}


def _parameters(state_dict):
    tree = {}
    for key, value in state_dict.items():
        layer, kind = key.rsplit(".", 1)
        leaf = value if kind == "bias" else value.transpose(2, 3, 1, 0)
        name = "kernel" if kind == "weight" else kind
        tree.setdefault(RENAMED.get(layer, layer), {})[name] = leaf
    return {"params": tree}


def test_golden_with_offsets_of_several_pixels(shared):
    golden = load(shared, "dsta_bigoffset")
    x = jnp.moveaxis(jnp.asarray(golden.data["in/x"]), 1, -1)
    y = jax.jit(DSTA().apply)(_parameters(golden.state_dict), x)
    golden.check(np.moveaxis(y, -1, 1), "y")


def test_the_smallest_size_works():
    y = jax.eval_shape(
        DSTA().init_with_output, jax.random.key(0), jnp.ones((1, DSTA_MIN_SIDE, DSTA_MIN_SIDE, 4))
    )[0]
    assert y.shape == (1, DSTA_MIN_SIDE, DSTA_MIN_SIDE, 4)
