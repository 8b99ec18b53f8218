import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from vqe_jax.nn.reparam import RepConv, fold

DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def convolved(x, kernel):
    return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=DIMENSIONS)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    inputs=st.integers(1, 4),
    features=st.integers(1, 4),
)
def test_one_kernel_does_what_the_branches_do(seed, size, inputs, features):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(2, *size, inputs)), jnp.float32)
    module = RepConv(features)
    variables = jax.tree.map(
        lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), module.init(jax.random.key(0), x)
    )
    p = variables["params"]
    branches = convolved(x, p["kernel"]) + jnp.einsum("nhwc,cf->nhwf", x, p["point"])
    branches = branches + p["bias"][None, None, None]
    assert ("identity" in p) == (inputs == features)
    if inputs == features:
        branches = branches + x * p["identity"][None, None, None]
    folded = fold(variables)
    assert set(folded["params"]) == {"kernel", "bias"}
    for result in (module.apply(variables, x), RepConv(features, folded=True).apply(folded, x)):
        np.testing.assert_allclose(result, branches, atol=1e-5)


def test_what_is_folded_stays():
    plain = {"params": {"conv": {"kernel": jnp.ones((3, 3, 1, 1)), "bias": jnp.zeros(1)}}}
    assert fold(plain) == plain
