"""Every recipe of the package: what its docstring names is read, and its networks can be built."""

import functools
import inspect
import json
import re

import jax
import pytest

from tests.configs import discovery
from vqe_jax import losses, models
from vqe_jax.models.shapes import initial_variables
from vqe_jax.training import corruption, kinds, recipes
from vqe_jax.training.feed import data_config
from vqe_jax.training.optimizer import build_schedule, rates
from vqe_jax.training.variants import words

# Deep trunks take long to trace and say nothing more.
_SHALLOW = {"blocks": 1, "reconstruction_blocks": 1, "flow_levels": 2, "qe_depth": 3}
# They choose among the parameters, which are the same.
_CHOICES = ("output", "trains", "trains_on")


@functools.cache
def parameters(model, fields):
    network = models.build(model, **json.loads(fields))
    return jax.eval_shape(lambda key: initial_variables(network, key), jax.random.key(0))["params"]


def _parameters(run, stage):
    fields = {**run.model_kwargs, **stage.model_kwargs}
    models.build(run.model, **fields)
    shallow = {k: v for k, v in _SHALLOW.items() if k in models.fields(run.model)}
    fields = {k: v for k, v in (fields | shallow).items() if k not in _CHOICES}
    return parameters(run.model, json.dumps(fields, sort_keys=True))


@pytest.mark.parametrize("name", recipes.names())
def test_every_variant_of_the_docstring_is_a_run(name):
    variants = ["default", "smoke", *discovery.variants(name)]
    assert len(variants) > 2
    for variant in variants:
        run = recipes.load(f"{name}:{variant}")
        assert run.source and (run.eval is None or run.eval.every > 0)
        for stage in run.stages:
            params = _parameters(run, stage)
            rates(stage, params)  # patterns that match nothing are errors
            build_schedule(stage)
            kinds.get(stage.kind)
            corruption.build(stage.corruption)
            for term in stage.losses:
                losses.build(term.name, **term.options)
            color = data_config(run.data, stage.data, variant).color
            channels = {**models.fields(run.model), **run.model_kwargs}.get("channels", 1)
            assert color == ("rgb" if channels == 3 else "luma")


@pytest.mark.parametrize("name", recipes.names())
def test_the_docstring_names_every_word(name):
    recipe = discovery.get_config(name)
    defaults = {key: p.default for key, p in inspect.signature(recipe).parameters.items()}
    wanted = {word for word, (key, value) in words(recipe).items() if defaults[key] != value}
    assert wanted <= set(discovery.variants(name))


@pytest.mark.parametrize("name", recipes.names())
def test_small_is_for_two_cores(name):
    if "small" not in words(discovery.get_config(name)):
        pytest.skip("has other words for it")
    run = recipes.load(f"{name}:small")
    assert run.data["dataset"] == "demo" and run.data["batch"] <= 8 and run.data["crop"] <= 64
    assert sum(stage.steps for stage in run.stages) <= 2_000
    assert recipes.load(f"{name}:demo").stages == run.stages
    few = recipes.load(f"{name}:smoke")
    assert few.data == run.data and {stage.steps for stage in few.stages} == {6}


def test_the_readers_own_clips_take_the_place_of_a_data_set():
    run = recipes.load("stdf:clips,qp27")
    assert (run.data["dataset"], run.data["config_name"]) == ("clips", "qp27")
    assert run.eval.split == "val"
    assert recipes.load("basicvsr:clips").data["config_name"] == "qp37"


def test_recipes_start_with_how_they_are_trained():
    for name in recipes.names():
        text = discovery.docstring(name)
        assert re.search(rf"train\.py --config configs/{name}\.py", text), name
