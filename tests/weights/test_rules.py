"""Rules, one property at a time, and the layouts against PyTorch's definitions."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict
from jax import lax

from vqe_jax.errors import UserError
from vqe_jax.models.shapes import module_shapes
from vqe_jax.nn.layers import Conv, ConvTranspose, PReLU
from vqe_jax.weights.rules import official_table, prefixed, rearranged
from vqe_jax.weights.rules import tensors_to_variables as read
from vqe_jax.weights.rules import variables_to_tensors as write


@pytest.mark.parametrize(
    "layout", ["o i h w -> h w i o", "i o h w -> -h -w i o", "1 c 1 1 -> c", "1 ->", "o -> 1 o", ""]
)
def test_layouts_are_their_own_way_back(layout):
    left = layout.split("->")[0].split() if layout else ["a", "b"]
    shape = [1 if axis == "1" else 2 + i for i, axis in enumerate(left)]
    x = np.random.default_rng(0).random(shape)
    np.testing.assert_array_equal(rearranged(rearranged(x, layout), layout, back=True), x)


def _torch_conv(x, weight, bias, groups=1):
    """PyTorch's convolution with "same" padding, channels first."""
    axes = "DHW"[5 - x.ndim :]
    y = lax.conv_general_dilated(
        x,
        weight,
        (1,) * len(axes),
        "SAME",
        feature_group_count=groups,
        dimension_numbers=(f"NC{axes}", f"OI{axes}", f"NC{axes}"),
    )
    return y + bias.reshape(1, -1, *(1,) * len(axes))


def _torch_conv_transpose(x, weight, bias):
    """Of size 4, stride 2, padding 1: the gradient of the convolution of that shape."""
    large = (1, weight.shape[1], 2 * x.shape[2], 2 * x.shape[3])

    def conv(y):
        return lax.conv_general_dilated(
            y, weight, (2, 2), [(1, 1), (1, 1)], dimension_numbers=("NCHW", "OIHW", "NCHW")
        )

    _, pull = jax.vjp(conv, jnp.zeros(large))
    return pull(x)[0] + bias.reshape(1, -1, 1, 1)


def _torch_norm(x, weight, bias, running_mean, running_var):
    mean, var, scale, shift = (
        v.reshape(1, -1, 1, 1) for v in (running_mean, running_var, weight, bias)
    )
    return (x - mean) / np.sqrt(var + 1e-5) * scale + shift


def _torch_prelu(x, weight):
    return np.where(x >= 0, x, x * weight.reshape(1, -1, 1, 1))


# Our layer, PyTorch's with channels first, axes beside batch and channels, the rule's marker.
LAYERS = {
    "conv": (Conv(4), _torch_conv, (5, 6), ""),
    "conv3d": (nn.Conv(4, (3, 3, 3)), _torch_conv, (4, 5, 6), ""),
    "conv1d": (nn.Conv(4, (3,)), _torch_conv, (7,), ""),
    "grouped": (
        nn.Conv(6, (3, 3), feature_group_count=3),
        functools.partial(_torch_conv, groups=3),
        (5, 6),
        "",
    ),
    "linear": (nn.Dense(4), lambda x, weight, bias: x @ weight.T + bias, (), ""),
    "pointwise": (nn.Dense(4), _torch_conv, (5, 6), "pointwise"),
    "transposed": (ConvTranspose(4), _torch_conv_transpose, (5, 6), "conv_transpose"),
    "norm": (nn.BatchNorm(use_running_average=True), _torch_norm, (5, 6), ""),
    "prelu": (PReLU(per_channel=True), _torch_prelu, (5, 6), ""),
    "flax_prelu": (nn.PReLU(), _torch_prelu, (5, 6), ""),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_with_official_tensors_computes_what_pytorch_defines(kind):
    ours, theirs, axes, marker = LAYERS[kind]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 3, *axes)).astype(np.float32)
    last = jnp.moveaxis(x, 1, -1)
    table = official_table(
        [(r"", "", marker) if marker else (r"", "")], module_shapes(ours, last.shape)
    )
    tensors = {t.names[0]: rng.uniform(0.2, 1, t.shape).astype(np.float32) for t in table.values()}
    counter = {"num_batches_tracked": np.array(3)}
    flat, dropped = read(table, tensors | counter, where="layer")
    assert not dropped
    found = ours.apply(unflatten_dict(flat, sep="/"), last)
    expected = theirs(x, **tensors)
    np.testing.assert_allclose(np.moveaxis(found, -1, 1), expected, atol=2e-6, rtol=1e-5)
    back = write(table, flat, where="layer")
    assert back.keys() == tensors.keys()
    assert all(np.array_equal(back[k], tensors[k]) for k in back)


def test_the_first_rule_that_matches_the_whole_path_counts():
    rules = [(r"a", "first"), (r"a/b", r"second"), (r"(.+)", r"last/\1")]
    shapes = {f"params/{m}/bias": (1,) for m in ("a", "a/b", "a/b/c")} | {"params/gain": (1,)}
    assert [t.names[0] for t in official_table(rules, shapes).values()] == [
        "first.bias",
        "second.bias",
        "last.a.b.c.bias",
        "last.gain",
    ]


def test_a_part_keeps_its_own_groups_and_every_alias():
    part = [(r"conv(\d)", (r"body.\1", r"copy.\1")), (r"gain", "g")]
    rules = [
        prefixed(r"stage(\d)", lambda m: f"net{int(m[1]) + 1}", part),
        prefixed("", "top", part),
    ]
    shapes = {"params/stage0/conv3/kernel": (2, 3), "params/stage0/gain": (), "params/gain": ()}
    assert [t.names for t in official_table(rules, shapes).values()] == [
        ("net1.body.3.weight", "net1.copy.3.weight"),
        ("net1.g",),
        ("top.g",),
    ]


def test_a_part_may_stand_under_either_of_two_paths():
    rules = [prefixed(r"first|second", r"\g<0>net", [(r"conv", "c")])]
    shapes = {f"params/{part}/conv/bias": (1,) for part in ("first", "second")}
    names = [t.names[0] for t in official_table(rules, shapes).values()]
    assert names == ["firstnet.c.bias", "secondnet.c.bias"]


def test_a_variable_without_a_rule_and_a_name_given_twice_are_errors():
    shapes = {"params/a/kernel": (1, 2), "params/b/kernel": (1, 2)}
    with pytest.raises(UserError, match=r"no rule gives params/b/kernel \(1, 2\)"):
        official_table([(r"a", "x")], shapes)
    with pytest.raises(UserError, match=r"params/a/kernel and params/b/kernel one name, x.weight"):
        official_table([(r"[ab]", "x")], shapes)


def test_shapes_are_said_as_the_checkpoint_has_them():
    table = official_table([(r"head", "fc", "pointwise")], {"params/head/kernel": (3, 8)})
    assert table["params/head/kernel"].shape == (8, 3, 1, 1)
    with pytest.raises(UserError, match=r"lacks fc.weight \(8, 3, 1, 1\)"):
        read(table, {}, where="net")
