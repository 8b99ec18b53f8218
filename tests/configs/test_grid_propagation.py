"""The recipes of BasicVSR++ and ProVQE against what is published, and how their stages start."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.models.test_basicvsrpp import SMALL, random_variables
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import tree_paths
from vqe_jax.training.recipes import load
from vqe_jax.training.stages import Rate
from vqe_jax.training.starts import build_network, start_variables
from vqe_jax.weights import ModelFile, save_model


def test_the_tracks_of_the_report():
    run = load("basicvsrpp:track3,spynet=/x/flow.npz")
    (stage,) = run.stages
    assert run.model_kwargs == {"features": 128, "blocks": 25}
    assert stage.parts == (("spynet", "/x/flow.npz"),)
    assert stage.rates == (Rate("^spynet/", 0.25, 5000),)
    assert (stage.losses[0].name, stage.losses[0].options) == ("charbonnier", {"eps": 1e-12})
    assert (run.data["frames"], run.data["crop"], run.data["config_name"]) == (30, 256, "track3")
    assert [s.kind for s in load("basicvsrpp:track2").stages] == ["plain", "adversarial"]


def test_powervqe_is_powerqes_recipe():
    for run in (load("basicvsrpp:powervqe"), load("provqe:powerqe")):
        (stage,) = run.stages
        assert run.model_kwargs == {"features": 64, "blocks": 7}
        assert (stage.steps, stage.learning_rate, stage.optimizer.betas) == (
            5e5,
            1e-4,
            (0.9, 0.999),
        )
        assert (run.data["frames"], run.data["crop"]) == (7, 256)
        assert stage.rates == (Rate("^spynet/", 0.25),)


def test_provqe_grows_to_the_winners_depth():
    run = load("provqe")
    *rounds, last = run.stages
    depths = [r.model_kwargs["reconstruction_blocks"] for r in rounds]
    assert depths == [5, 15, 25, 35, 45, 55]
    assert [s.start for s in run.stages] == ["scratch", *["previous"] * 6]
    assert not any(rate.factor == 0 for s in run.stages for rate in s.rates)
    assert (last.losses[0].name, last.model_kwargs) == ("l2", {})
    assert run.model_kwargs == {"features": 128, "blocks": 25, "reconstruction_blocks": 55}
    assert run.data["drop_duplicates"]


def _tiny(recipe, **stage):
    run = load(recipe)
    stages = [dataclasses.replace(s, **stage) for s in run.stages]
    return dataclasses.replace(run, model_kwargs=run.model_kwargs | SMALL, stages=tuple(stages))


def test_a_round_keeps_what_the_one_before_has_learned(tmp_path):
    run = _tiny("provqe:small", init=())
    first, second = (build_network(run, stage) for stage in run.stages[:2])
    previous = random_variables(first)
    start = start_variables(run, 1, second, workdir=tmp_path, previous=previous)
    before, after = tree_paths(previous["params"]), tree_paths(start["params"])
    new = {path for path in after if path not in before}
    assert new and all(path.startswith("reconstruction/blocks/block1/") for path in new)
    assert all(np.array_equal(after[path], before[path]) for path in before)
    assert all(np.abs(after[p]).max() > 0 for p in new if p.endswith("kernel"))
    strict = dataclasses.replace(
        run, stages=tuple(dataclasses.replace(s, fresh=()) for s in run.stages)
    )
    with pytest.raises(UserError, match=r"has no 'params/reconstruction/blocks/block1.*'fresh'"):
        start_variables(strict, 1, second, workdir=tmp_path, previous=previous)


def test_track_1_starts_from_super_resolution_but_for_its_first_layers(tmp_path):
    path = tmp_path / "x4.safetensors"
    larger = models.build("basicvsrpp", **SMALL, upscale=4)
    given = jax.tree.map(np.asarray, random_variables(larger))
    save_model(path, ModelFile("basicvsrpp", SMALL | {"upscale": 4}, given, "rgb", (37,), "", {}))
    run = _tiny(f"basicvsrpp:start={path}")
    start = start_variables(run, 0, build_network(run, run.stages[0]), workdir=tmp_path)
    before, after = tree_paths(given["params"]), tree_paths(start["params"])
    kept = {p for p in after if p in before and np.array_equal(before[p], after[p])}
    assert {p.rpartition("/")[0] for p in after.keys() - kept} == {
        "shrink_0",
        "shrink_1",
        "extract/conv",
    }
    strict = dataclasses.replace(
        run, stages=(dataclasses.replace(run.stages[0], fresh=("^shrink_",)),)
    )
    with pytest.raises(UserError, match=r"extract/conv/kernel is \(3, 3, 3, 4\) in .*'fresh'"):
        start_variables(strict, 0, build_network(strict, strict.stages[0]), workdir=tmp_path)
