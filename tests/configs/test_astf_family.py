import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import losses, models
from vqe_jax.models.shapes import initial_variables, parameter_count
from vqe_jax.training.optimizer import build_schedule, rates
from vqe_jax.training.recipes import load
from vqe_jax.training.stages import Rate, Term


def test_the_family_trains_alike():
    names = ("basicvsr", "basicvsr:small", "astf", "astf:cached", "vue:track1_second")
    for stage in (stage for name in names for stage in load(name).stages):
        assert stage.optimizer.betas == (0.9, 0.99)
        assert float(build_schedule(stage)(jnp.int32(0))) == pytest.approx(stage.learning_rate)


def test_astf_trains_one_network_a_stage_and_ends_with_the_fusion():
    run = load("astf")
    assert [s.name for s in run.stages] == ["stage1", "enhance1", "enhance2"]
    network = models.build("astf", **run.model_kwargs | {"blocks": 1, "flow_levels": 2})
    shapes = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    params = shapes["params"]
    for stage in run.stages:
        own = rates(stage, params)
        trained = {k for k in own if any(rate.factor for rate in jax.tree.leaves(own[k]))}
        assert trained == {stage.name}
    fidelity, likeness = run.stages[2].losses
    assert (fidelity.weight, likeness) == (47.0, Term("lpips", 1.0, {"net": "vgg"}, of="enhance2"))
    assert run.stages[2].model_kwargs["output"] == "fuse"
    assert load("astf:literal").stages[2].losses[0].weight == 3.0


def test_47_is_the_published_sum_in_code_values():
    rng = np.random.default_rng(0)
    prediction, target = jnp.asarray(rng.random((2, 1, 1, 64, 64, 3), np.float32))
    charbonnier = losses.get("charbonnier")
    ours = 47 * charbonnier(prediction, target, eps=1e-12)
    published = 0.15 * charbonnier(255 * prediction, 255 * target, eps=1e-12, reduction="sum")
    np.testing.assert_allclose(ours, published / 10000, rtol=1e-3)


def test_published_recipe_of_basicvsr():
    run = load("basicvsr:spynet=/x/flow.npz")
    stage = run.stages[0]
    assert stage.parts == (("spynet", "/x/flow.npz"),)
    assert stage.rates == (Rate("^spynet/", 0.125, 5000),)
    assert parameter_count(run.model, **run.model_kwargs) == 5_995_887
    assert (run.data["frames"], run.data["crop"], run.data["batch"]) == (15, 64, 8)


def test_members_of_vue_differ():
    runs = [load(f"vue:track3_{m}") for m in "abcd"]
    assert len({(r.seed, r.model_kwargs["blocks"]) for r in runs}) == 4
    assert {r.data["config_name"] for r in runs} == {"track3"}
    second = load("vue:track1_second")
    assert second.data["inputs_dir"] == second.eval.inputs_dir == "data/vue_track1"
