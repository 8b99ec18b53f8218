import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.nn.layers import Conv, Conv3D, ConvTranspose, PReLU


def _correlated(x, kernel, stride, dilation, groups, padding):
    """The definition, pixel by pixel."""
    x = np.pad(np.asarray(x, np.float64), [(padding, padding)] * 2 + [(0, 0)])
    kh, kw, inputs, outputs = kernel.shape
    height = (x.shape[0] - dilation * (kh - 1) - 1) // stride + 1
    width = (x.shape[1] - dilation * (kw - 1) - 1) // stride + 1
    result = np.zeros((height, width, outputs))
    for i, j, o in np.ndindex(result.shape):
        group = o // (outputs // groups)
        for a, b in itertools.product(range(kh), range(kw)):
            seen = x[i * stride + a * dilation, j * stride + b * dilation]
            result[i, j, o] += seen[group * inputs : (group + 1) * inputs] @ kernel[
                a, b, :, o
            ].astype(np.float64)
    return result


@pytest.mark.parametrize(
    ("fields", "padding"),
    [
        ({}, 1),
        ({"stride": 2}, 1),
        ({"dilation": 2}, 2),
        ({"groups": 2}, 1),
        ({"padding": 0, "stride": 2, "groups": 2}, 0),
    ],
)
def test_a_convolution_is_its_definition(fields, padding):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 1, 7, 8, 4)), jnp.float32)
    layer = Conv(6, **fields)
    got, variables = layer.init_with_output(jax.random.key(0), x)
    kernel, bias = (np.asarray(variables["params"][k]) for k in ("kernel", "bias"))
    options = {"stride": 1, "dilation": 1, "groups": 1, **fields, "padding": padding}
    expected = _correlated(x[1, 0], kernel, **options) + bias
    np.testing.assert_allclose(got[1, 0], expected, atol=1e-5)


def test_a_transposed_convolution_is_pytorchs(shared):
    data = np.load(shared / "golden/primitives_s.npz")
    kernel = data["sd/ct.weight"].transpose(2, 3, 0, 1)[::-1, ::-1].copy()
    params = {"kernel": kernel, "bias": data["sd/ct.bias"]}
    got = ConvTranspose(3).apply({"params": params}, jnp.moveaxis(data["in/x"], 1, -1))
    np.testing.assert_allclose(jnp.moveaxis(got, -1, 1), data["out/convT"], atol=1e-5)


def test_a_convolution_over_time_sees_one_frame_each_way():
    clip = jnp.zeros((1, 7, 3, 3, 1)).at[0, 3].set(1.0)
    layer = Conv3D(1)
    out, variables = layer.init_with_output(jax.random.key(0), clip)
    seen = np.abs(out - layer.apply(variables, jnp.zeros_like(clip))).max((0, 2, 3, 4))
    np.testing.assert_array_equal(seen > 0, [0, 0, 1, 1, 1, 0, 0])


@pytest.mark.parametrize("per_channel", [True, False])
def test_slopes_are_those_of_negative_values(per_channel):
    slope = jnp.array([0.5, -1.0]) if per_channel else jnp.array([0.5])
    x = jnp.array([[-2.0, -2.0], [0.0, 3.0]])
    got = PReLU(per_channel).apply({"params": {"slope": slope}}, x)
    np.testing.assert_array_equal(got, [[-1.0, 2.0 if per_channel else -1.0], [0.0, 3.0]])
