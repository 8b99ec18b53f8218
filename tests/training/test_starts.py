"""Where later stages get what they start from, on the recipes that need it."""

import dataclasses
import io

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import initial_variables
from vqe_jax.training import loop
from vqe_jax.training.recipes import load
from vqe_jax.training.starts import build_network, start_variables
from vqe_jax.weights import ModelFile, load_model, save_model

TINY = {"radius": 1, "features": 4, "depth": 1, "fused_features": 4}
TINY |= {"qe_features": 4, "qe_depth": 3}


def _run(variant, **kwargs):
    run = load(f"rfda:{variant}")
    return dataclasses.replace(run, model_kwargs=run.model_kwargs | TINY | kwargs)


def _numbered(network, number):
    shapes = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    return jax.tree.map(lambda x: np.full(x.shape, number, x.dtype), shapes)


def _kept(variables, number):
    """Top and second names of what equals a number everywhere, and of what does not."""
    kept, fresh = set(), set()
    for path, x in flatten_dict(variables["params"]).items():
        (kept if (np.asarray(x) == number).all() else fresh).add("/".join(path[:2]))
    return kept, fresh


@pytest.mark.parametrize("variant", ["default", "paper", "conv_lstm", "small"])
def test_the_second_stage_of_rfda_keeps_the_first_and_adds_the_recursion(variant, tmp_path):
    run = _run(variant)
    first, second = (build_network(run, stage) for stage in run.stages)
    previous = _numbered(first, 7.0)
    start = start_variables(run, 1, second, workdir=tmp_path, previous=previous)
    kept, fresh = _kept(start, 7.0)
    assert {path.split("/")[0] for path in kept} == {"fusion", "enhancement"}
    assert {path.split("/")[0] for path in fresh} == {"recursion"}


def test_rfda_starts_from_a_file_of_stdf(tmp_path):
    network = models.build("stdf", **TINY)
    path = tmp_path / "stdf.safetensors"
    save_model(path, ModelFile("stdf", TINY, _numbered(network, 7.0), "luma", (37,), "", {}))
    run = _run("narrow")
    stage = dataclasses.replace(run.stages[0], start=str(path))
    run = dataclasses.replace(run, stages=(stage,))
    start = start_variables(run, 0, build_network(run, stage), workdir=tmp_path)
    kept, fresh = _kept(start, 7.0)
    assert "enhancement/out_conv" in kept and "fusion/deform_conv" in kept
    assert {p for p in fresh if not p.startswith("recursion/")} == {"enhancement/attention0"}

    stage = dataclasses.replace(stage, fresh=())
    run = dataclasses.replace(run, stages=(stage,))
    with pytest.raises(UserError, match="stdf"):
        start_variables(run, 0, build_network(run, stage), workdir=tmp_path)


@pytest.mark.parametrize("averaged", [True, False])
def test_a_stage_begins_with_the_average_unless_it_asks_for_the_raw_weights(
    averaged, tiny, tmp_path
):
    first = {"name": "first", "steps": 3, "learning_rate": 1e-2, "ema": 0.9}
    still = {"name": "still", "steps": 1, "learning_rate": 0.0, "start": "previous"}
    stages = (first, {**still, "start_averaged": averaged})
    loop.run(tiny.config(*stages, eval=None), tmp_path, output=io.StringIO())
    before, after = (load_model(tmp_path / f"{n}.safetensors") for n in ("stages/first", "last"))
    same = [
        np.array_equal(a, b)
        for a, b in zip(
            jax.tree.leaves(before.variables["params"]),
            jax.tree.leaves(after.variables["params"]),
            strict=True,
        )
    ]
    assert all(same) if averaged else not any(same)


@pytest.mark.parametrize("recipe", ["vig:small", "basicvsr:small"])
def test_in_few_steps_training_starts_from_the_compressed_picture(recipe, tmp_path):
    run = load(recipe)
    network = build_network(run, run.stages[0])
    start = start_variables(run, 0, network, workdir=tmp_path)
    clip = np.random.default_rng(0).random((1, 2, 64, 64, network.channels), np.float32)
    np.testing.assert_array_equal(jax.jit(network.apply)(start, clip), clip)
