"""Official names and layouts into ours and back, strictly."""

import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.weights import conversion, from_torch, to_torch

SMALL = {"radius": 1, "features": 8, "qe_features": 8, "qe_depth": 4}


@pytest.mark.parametrize("layout", ["conv", "conv3d", "conv1d", "conv_transpose", "linear", "same"])
def test_layouts_are_their_own_way_back(layout):
    ranks = {"conv": 4, "conv3d": 5, "conv1d": 3, "conv_transpose": 4, "linear": 2, "same": 1}
    there, back = conversion._LAYOUTS[layout]
    x = np.random.default_rng(0).random(tuple(range(2, 2 + ranks[layout])))
    np.testing.assert_array_equal(back(there(x)), x)


@pytest.fixture(scope="module")
def official():
    """Official tensors of a small STDF, made from zeros of the right shapes."""
    table = conversion._official("stdf").tensors(**SMALL)
    shapes = conversion._variable_shapes("stdf", SMALL)
    rng = np.random.default_rng(0)
    return {
        tensor.key: conversion._LAYOUTS[tensor.layout][1](rng.random(shapes[path], np.float32))
        for path, tensor in table.items()
    }


def test_a_checkpoint_is_unwrapped_and_comes_back(official):
    wrapped = {"state_dict": {"module." + k: v for k, v in official.items()}, "num_iter_accum": 3}
    back = to_torch("stdf", from_torch("stdf", wrapped, **SMALL), **SMALL)
    assert back.keys() == official.keys()
    for key, value in official.items():
        np.testing.assert_array_equal(back[key], value)


def test_missing_unused_and_misshapen_tensors_are_named(official):
    key = next(k for k in official if k.endswith("in_conv.0.weight"))
    with pytest.raises(UserError, match=f"lacks {key}"):
        from_torch("stdf", {k: v for k, v in official.items() if k != key}, **SMALL)
    with pytest.raises(UserError, match="does not use: stray"):
        from_torch("stdf", official | {"stray": np.zeros(1)}, **SMALL)
    with pytest.raises(UserError, match=f"{key}.* has shape .*other settings"):
        from_torch("stdf", official | {key: official[key][:, :1]}, **SMALL)


def test_a_network_without_official_names_says_so():
    with pytest.raises(UserError, match="'vig' has no official PyTorch names"):
        from_torch("vig", {})
