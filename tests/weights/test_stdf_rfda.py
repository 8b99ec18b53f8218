"""Checkpoints of STDF and RFDA: there and back, other settings, and what is not tensors."""

import argparse

import jax
import numpy as np
import pytest
from flax.traverse_util import unflatten_dict

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import variable_shapes
from vqe_jax.weights import from_torch, load_model, to_torch
from vqe_jax.weights.__main__ import main

TINY = {"radius": 1, "features": 4, "fused_features": 6, "qe_features": 4, "qe_depth": 3}
ABLATIONS = [
    {},
    {"recursive_fusion": "none"},
    {"attention": "none"},
    {"attention": "no_deformable"},
    {"attention": "no_channel"},
]


def _random(name, **fields):
    """Variables of the right shapes, without compiling an initialisation."""
    rng = np.random.default_rng(1)
    shapes = variable_shapes(name, **fields)
    flat = {path: rng.normal(0, 0.1, s).astype(np.float32) for path, s in shapes.items()}
    return unflatten_dict(flat, sep="/")


@pytest.fixture(scope="module")
def official():
    """Official tensors of small networks by name, seeded."""
    return {name: to_torch(name, _random(name, **TINY), **TINY) for name in ("stdf", "rfda")}


@pytest.mark.parametrize("fields", ABLATIONS, ids=str)
def test_names_go_round_and_the_frames_stay(fields):
    network = models.build("rfda", **TINY, **fields)
    variables = _random("rfda", **TINY, **fields)
    names = to_torch("rfda", variables, **TINY, **fields)
    assert ("wpnet.in_conv.0.weight" in names) == (fields.get("recursive_fusion") != "none")
    wrapped = {"state_dict": {f"module.{k}": v for k, v in names.items()}, "num_iter_accum": 1}
    back = from_torch("rfda", wrapped, **TINY, **fields)
    jax.tree.map(np.testing.assert_array_equal, back, variables)
    if not fields:
        clip = np.random.default_rng(0).random((1, 2, 16, 16, 1), np.float32)
        apply = jax.jit(network.apply)
        np.testing.assert_array_equal(apply(back, clip), apply(variables, clip))


@pytest.mark.parametrize("name", ["stdf", "rfda"])
@pytest.mark.parametrize(
    "changes,message",
    [
        ({"radius": 2}, r"'ffnet\.\S+' has shape \(\d.*does not make params/fusion/\S+ \(.*other"),
        ({"features": 8}, r"'ffnet\.\S+' has shape \(4, .*does not make params/fusion/\S+ \(.*8\)"),
        (
            {"qe_features": 8},
            r"'qenet\.\S+\.weight' has shape \(.*params/enhancement/\S+ \(.*other",
        ),
        ({"qe_depth": 4}, r"lacks qenet\.hid_conv"),
        ({"depth": 2}, r"tensors that the network does not use: ffnet\.dn_conv2"),
    ],
)
def test_another_radius_width_or_depth_names_the_tensor(official, name, changes, message):
    with pytest.raises(UserError, match=message):
        from_torch(name, official[name], **TINY | changes)


@pytest.mark.parametrize("name", ["stdf", "rfda"])
def test_a_checkpoint_that_needs_pickle_is_refused_and_says_how_to_convert(
    official, tmp_path, name
):
    torch = pytest.importorskip("torch")
    tensors = {k: torch.tensor(v) for k, v in official[name].items()}
    held, tensors_only = tmp_path / "held.pth", tmp_path / "tensors.pth"
    torch.save({"state_dict": tensors, "options": argparse.Namespace(radius=1)}, held)
    target = tmp_path / f"{name}.safetensors"
    settings = [f"--set={k}={v}" for k, v in TINY.items()]
    with pytest.raises(UserError, match=r"argparse\.Namespace.*torch\.save\(torch\.load"):
        main(["convert", name, str(held), str(target), *settings])
    assert not target.exists()
    # What the message says works.
    torch.save(torch.load(held, weights_only=False)["state_dict"], tensors_only)
    with pytest.raises(UserError, match=r"python -m vqe_jax\.weights convert NETWORK"):
        load_model(tensors_only)
    main(["convert", name, str(tensors_only), str(target), *settings])
    back = to_torch(name, load_model(target, expect=name).variables, **TINY)
    assert all(np.array_equal(back[k], v) for k, v in official[name].items())
