import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vqe_jax.nn.reparam import RepConv, fold


def convolved(x, kernel):
    """Zeros outside, tap by tap."""
    _, h, w, _ = x.shape
    wide = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    return sum(wide[:, i : i + h, j : j + w] @ kernel[i, j] for i, j in np.ndindex(3, 3))


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    inputs=st.integers(1, 4),
    features=st.integers(1, 4),
)
def test_one_kernel_does_what_the_branches_do_in_float64(seed, size, inputs, features):
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(2, *size, inputs)), jnp.float32)
    module = RepConv(features)
    variables = jax.tree.map(
        lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), module.init(jax.random.key(0), x)
    )
    exact, p = np.float64(x), jax.tree.map(np.float64, variables["params"])
    branches = convolved(exact, p["kernel"]) + exact @ p["point"] + p["bias"]
    assert ("identity" in p) == (inputs == features)
    if inputs == features:
        branches = branches + exact * p["identity"]
    folded = fold(variables)
    assert set(folded["params"]) == {"kernel", "bias"}
    for result in (module.apply(variables, x), RepConv(features, folded=True).apply(folded, x)):
        np.testing.assert_allclose(result, branches, atol=1e-5)


def test_what_is_folded_stays():
    plain = {"params": {"conv": {"kernel": jnp.ones((3, 3, 1, 1)), "bias": jnp.zeros(1)}}}
    assert fold(plain) == plain
