import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqe_jax.errors import UserError
from vqe_jax.nn.attention import (
    AttentionBlock,
    attend,
    blockwise_attention,
    choose_block_size,
    dense_attention,
    library_attention,
)


def _inputs(n, m, d=8, c=16, b=2, seed=0):
    q, k, v = (
        jax.random.normal(key, (b, length, width))
        for key, length, width in zip(
            jax.random.split(jax.random.key(seed), 3), (n, m, m), (d, d, c), strict=True
        )
    )
    return 2 * q, 2 * k, v


def _with_gradients(function, inputs):
    out = function(*inputs)
    weight = jax.random.normal(jax.random.key(9), out.shape)
    gradients = jax.grad(lambda *a: (function(*a) * weight).sum(), argnums=(0, 1, 2))(*inputs)
    return out, *gradients


@pytest.mark.parametrize(("n", "m", "block"), [(40, 56, 16), (33, 9, 8), (7, 50, 64), (1, 5, 1)])
def test_blockwise_equals_dense_with_gradients(n, m, block):
    inputs = _inputs(n, m)
    blocks = _with_gradients(lambda *a: blockwise_attention(*a, block_size=block), inputs)
    dense = _with_gradients(dense_attention, inputs)
    for ours, reference in zip(blocks, dense, strict=True):
        scale = float(jnp.abs(reference).max())
        np.testing.assert_allclose(ours, reference, atol=1e-5 * max(scale, 1), rtol=0)


@pytest.mark.parametrize("form", [dense_attention, blockwise_attention, library_attention])
def test_every_form_is_near_float64(form):
    inputs = _inputs(40, 56)
    q, k, v = (np.float64(x) for x in inputs)
    scores = np.exp(np.einsum("bnd,bmd->bnm", q, k))
    exact = scores @ v / scores.sum(-1, keepdims=True)
    options = {"block_size": 16} if form is blockwise_attention else {}
    assert np.abs(form(*inputs, **options) - exact).max() < 3e-6 * np.abs(exact).max()


def test_large_scores_do_not_overflow():
    q, k, v = _inputs(20, 20)
    out = blockwise_attention(100 * q, 100 * k, v, block_size=6)
    np.testing.assert_allclose(out, dense_attention(100 * q, 100 * k, v), atol=1e-5)


@pytest.mark.parametrize("width", [5, 8, 16, 20])
def test_library_equals_dense(width):
    inputs = _inputs(12, 15, c=width)
    np.testing.assert_allclose(library_attention(*inputs), dense_attention(*inputs), atol=1e-5)


def test_auto_takes_blocks_when_scores_would_not_fit():
    def peak(length):
        shapes = [jax.ShapeDtypeStruct((1, length, w), jnp.float32) for w in (8, 8, 16)]
        return jax.jit(attend).lower(*shapes).compile().memory_analysis().temp_size_in_bytes

    all_scores = 4 * 6000**2
    assert peak(6000) < all_scores / 4


def test_gradient_memory_is_bounded():
    def loss(q, k, v):
        return attend(q, k, v, method="blockwise", block_size=256).sum()

    shapes = [jax.ShapeDtypeStruct((1, 4096, w), jnp.float32) for w in (8, 8, 16)]
    compiled = jax.jit(jax.grad(loss, argnums=(0, 1, 2))).lower(*shapes).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 4096**2 / 8


def test_unknown_method():
    with pytest.raises(UserError, match="flash"):
        attend(*_inputs(4, 4), method="flash")


@given(length=st.integers(1, 200_000), batch=st.integers(1, 32))
def test_blocks_fit_the_budget_and_waste_little(length, batch):
    size = choose_block_size(length, batch, budget=2**26)
    blocks = -(-length // size)
    assert 4 * batch * size**2 <= 1.1 * 2**26 or size <= 72
    assert blocks * size - length < 8 * blocks + size / 2


def test_golden_block(shared):
    golden = np.load(shared / "golden" / "peq_attention_c32.npz")

    def nhwc(key):
        return jnp.asarray(golden[key].transpose(0, 2, 3, 1))

    params = {
        ours: {
            "kernel": golden[f"sd/{official}.weight"].transpose(2, 3, 1, 0),
            "bias": golden[f"sd/{official}.bias"],
        }
        for ours, official in (("proj_target", "proj_tgt"), ("proj_reference", "proj_ref"))
    }
    for block in (AttentionBlock(), AttentionBlock(method="blockwise", block_size=20)):
        out = block.apply({"params": params}, nhwc("in/tgt"), nhwc("in/ref"))
        np.testing.assert_allclose(out, nhwc("out/fused"), atol=3.9e-5, rtol=0)


@pytest.mark.parametrize("factor", [2, 4, 6])
def test_downsampled_attention_keeps_the_size(factor):
    target = jax.random.uniform(jax.random.key(1), (1, 13, 17, 4))
    out, variables = AttentionBlock(downsample=factor).init_with_output(
        jax.random.key(0), target, target
    )
    assert out.shape == target.shape
    # A map without detail passes through whatever the factor.
    flat = jnp.full_like(target, 0.25)
    same = AttentionBlock(downsample=factor).apply(variables, flat, flat)
    np.testing.assert_allclose(same, flat, atol=1e-6)
