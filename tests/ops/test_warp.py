import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqe_jax.errors import UserError
from vqe_jax.ops.warp import flow_warp


def _reference(x: np.ndarray, flow: np.ndarray, padding: str) -> np.ndarray:
    """The definition, pixel by pixel in float64."""
    b, h, w, _ = x.shape
    out = np.zeros(x.shape, np.float64)
    for n, i, j in np.ndindex(b, h, w):
        px, py = j + float(flow[n, i, j, 0]), i + float(flow[n, i, j, 1])
        if padding == "border":
            px, py = min(max(px, 0.0), w - 1.0), min(max(py, 0.0), h - 1.0)
        x0, y0 = int(np.floor(px)), int(np.floor(py))
        for yy, xx in ((y0, x0), (y0, x0 + 1), (y0 + 1, x0), (y0 + 1, x0 + 1)):
            if 0 <= yy < h and 0 <= xx < w:
                out[n, i, j] += (1 - abs(py - yy)) * (1 - abs(px - xx)) * x[n, yy, xx]
    return out


@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_golden(shared, padding):
    z = np.load(shared / "golden" / "primitives_s.npz")
    x = jnp.asarray(z["in/x"].transpose(0, 2, 3, 1))
    out = flow_warp(x, jnp.asarray(z["in/flow"]), padding=padding)
    expected = z[f"out/warp_{padding}"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(out, expected, rtol=0, atol=4.4e-5)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), reach=st.sampled_from([0.5, 4.0, 1e6]),
       padding=st.sampled_from(["zeros", "border"]))  # fmt: skip
def test_definition(seed, reach, padding):
    rng = np.random.default_rng(seed)
    x = rng.random((2, 5, 6, 3), np.float32)
    flow = rng.uniform(-reach, reach, (2, 5, 6, 2)).astype(np.float32)
    out = flow_warp(jnp.asarray(x), jnp.asarray(flow), padding=padding)
    np.testing.assert_allclose(out, _reference(x, flow, padding), rtol=0, atol=1e-5)


def test_not_finite_flow_spoils_its_own_pixel_only():
    x = jnp.ones((1, 4, 4, 2))
    flow = jnp.zeros((1, 4, 4, 2)).at[0, 1, 2, 0].set(jnp.nan).at[0, 3, 0, 1].set(jnp.nan)
    for padding in ("zeros", "border"):
        spoiled = np.isnan(np.asarray(flow_warp(x, flow, padding=padding))).all(-1)
        assert {tuple(p) for p in np.argwhere(spoiled)} == {(0, 1, 2), (0, 3, 0)}


def test_gradient_against_differences():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.random((1, 5, 5, 2), np.float32))
    flow = jnp.asarray(rng.integers(-3, 4, (1, 5, 5, 2)) + rng.uniform(0.3, 0.7, (1, 5, 5, 2)))
    flow = flow.astype(jnp.float32)
    loss = jax.jit(lambda x, flow: jnp.sum(flow_warp(x, flow) ** 2))
    for argument in (0, 1):
        direction = jnp.asarray(rng.standard_normal((x, flow)[argument].shape), jnp.float32)
        shift = lambda e, a=argument, d=direction: [  # noqa: E731
            v + e * d if i == a else v for i, v in enumerate((x, flow))
        ]
        slope = (loss(*shift(1e-2)) - loss(*shift(-1e-2))) / 2e-2
        exact = jnp.sum(jax.grad(loss, argument)(x, flow) * direction)
        np.testing.assert_allclose(exact, slope, rtol=2e-3)


def test_coordinates_stay_float32_in_bfloat16():
    x = jnp.tile(jnp.array([0.0, 1.0], jnp.bfloat16), 200)[None, None, :, None]
    flow = jnp.zeros((1, 1, 400, 2), jnp.bfloat16).at[..., 0].set(0.25)
    out = flow_warp(x, flow)
    assert out.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(out[0, 0, 300:302, 0], np.float32), [0.25, 0.75])


def test_unknown_padding_says_what_there_is():
    with pytest.raises(UserError, match="did you mean 'zeros'"):
        flow_warp(jnp.ones((1, 2, 2, 1)), jnp.ones((1, 2, 2, 2)), padding="zero")
