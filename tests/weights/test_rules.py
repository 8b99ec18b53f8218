"""Rules, one property at a time, and the layouts against PyTorch's own layers."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.models.shapes import module_shapes
from vqe_jax.nn.layers import Conv, ConvTranspose, PReLU
from vqe_jax.weights.rules import official_shape, official_table, prefixed, rearranged
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


def _layers(torch):
    nhwc, nhc = ((1, 5, 6, 3), (0, 3, 1, 2)), ((1, 7, 3), (0, 2, 1))
    return {
        "conv": (Conv(4), torch.nn.Conv2d(3, 4, 3, padding=1), *nhwc, ""),
        "conv3d": (
            nn.Conv(4, (3, 3, 3)), torch.nn.Conv3d(3, 4, 3, padding=1),
            (1, 4, 5, 6, 3), (0, 4, 1, 2, 3), "",
        ),
        "conv1d": (nn.Conv(4, (3,)), torch.nn.Conv1d(3, 4, 3, padding=1), *nhc, ""),
        "linear": (nn.Dense(4), torch.nn.Linear(3, 4), (2, 3), (0, 1), ""),
        "pointwise": (nn.Dense(4), torch.nn.Conv2d(3, 4, 1), *nhwc, "pointwise"),
        "transposed": (
            ConvTranspose(4), torch.nn.ConvTranspose2d(3, 4, 4, 2, 1), *nhwc, "conv_transpose",
        ),
        "grouped": (
            nn.Conv(6, (3, 3), feature_group_count=3),
            torch.nn.Conv2d(3, 6, 3, padding=1, groups=3), *nhwc, "",
        ),
        "norm": (nn.BatchNorm(use_running_average=True), torch.nn.BatchNorm2d(3), *nhwc, ""),
        "prelu": (PReLU(per_channel=True), torch.nn.PReLU(3), *nhwc, ""),
        "flax_prelu": (nn.PReLU(), torch.nn.PReLU(), *nhwc, ""),
    }  # fmt: skip


KINDS = [
    "conv",
    "conv3d",
    "conv1d",
    "linear",
    "pointwise",
    "transposed",
    "grouped",
    "norm",
    "prelu",
]


@pytest.mark.parametrize("kind", [*KINDS, "flax_prelu"])
def test_a_layer_with_pytorchs_weights_computes_what_pytorch_does(kind):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    ours, theirs, shape, to_theirs, marker = _layers(torch)[kind]
    for value in theirs.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.2, 1)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with torch.no_grad():
        expected = theirs.eval()(torch.from_numpy(x.transpose(to_theirs).copy())).numpy()

    shapes = module_shapes(ours, shape)
    table = official_table([(r"", "", marker) if marker else (r"", "")], shapes)
    tensors = {k: v.numpy() for k, v in theirs.state_dict().items()}
    flat, dropped = read(table, shapes, tensors, where="layer")
    assert not dropped
    tree = {c: {p.split("/")[1]: v for p, v in flat.items() if p.startswith(c)}
            for c in ("params", "batch_stats")}  # fmt: skip
    found = jax.jit(ours.apply)(tree, x)
    np.testing.assert_allclose(np.transpose(found, to_theirs), expected, atol=2e-6, rtol=1e-5)
    back = write(table, flat, where="layer")
    assert back.keys() == {k for k in tensors if k != "num_batches_tracked"}
    assert all(np.array_equal(back[k], tensors[k]) for k in back)


def test_the_first_rule_that_matches_the_whole_path_counts():
    rules = [(r"a", "first"), (r"a/b", r"second"), (r"(.+)", r"last/\1")]
    shapes = {f"params/{m}/bias": (1,) for m in ("a", "a/b", "a/b/c")} | {"params/gain": (1,)}
    assert [t.names[0] for t in official_table(rules, shapes).values()] == [
        "first.bias", "second.bias", "last.a.b.c.bias", "last.gain",
    ]  # fmt: skip


def test_a_part_keeps_its_own_groups_and_every_alias():
    part = [(r"conv(\d)", (r"body.\1", r"copy.\1")), (r"gain", "g")]
    rules = [
        prefixed(r"stage(\d)", lambda m: f"net{int(m[1]) + 1}", part),
        prefixed("", "top", part),
    ]
    shapes = {"params/stage0/conv3/kernel": (2, 3), "params/stage0/gain": (), "params/gain": ()}
    assert [t.names for t in official_table(rules, shapes).values()] == [
        ("net1.body.3.weight", "net1.copy.3.weight"), ("net1.g",), ("top.g",),
    ]  # fmt: skip


def test_a_variable_without_a_rule_and_a_name_given_twice_are_errors():
    shapes = {"params/a/kernel": (1, 2), "params/b/kernel": (1, 2)}
    with pytest.raises(UserError, match=r"no rule gives params/b/kernel \(1, 2\)"):
        official_table([(r"a", "x")], shapes)
    with pytest.raises(UserError, match=r"params/a/kernel and params/b/kernel one name, x.weight"):
        official_table([(r"[ab]", "x")], shapes)


def test_shapes_are_said_as_the_checkpoint_has_them():
    table = official_table([(r"head", "fc", "pointwise")], {"params/head/kernel": (3, 8)})
    assert official_shape(table["params/head/kernel"], (3, 8)) == (8, 3, 1, 1)
    with pytest.raises(UserError, match=r"lacks fc.weight \(8, 3, 1, 1\)"):
        read(table, {"params/head/kernel": (3, 8)}, {}, where="net")
