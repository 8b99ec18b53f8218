"""The recipes of VIG: every variant is a run, and the paper's numbers are in it."""

import jax.numpy as jnp
import pytest

from configs import vig
from vqe_jax.data.pipeline import DataConfig
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import parameter_count, variable_shapes
from vqe_jax.training.corruption import build as build_corruption
from vqe_jax.training.optimizer import build_schedule
from vqe_jax.training.stages import parse


@pytest.mark.parametrize("variant", vig.VARIANTS)
def test_every_variant_is_a_run(variant):
    run = parse(vig.get_config(variant))
    assert variable_shapes(run.model, **run.model_kwargs)
    for stage in run.stages:
        DataConfig(**{**run.data, **stage.data})
        build_corruption(stage.corruption)
    assert run.source


def test_the_default_is_the_papers_recipe():
    run = parse(vig.get_config())
    assert parameter_count(run.model, **run.model_kwargs) == 434_185
    assert [(s.steps, s.corruption and s.corruption["patch"]) for s in run.stages] == [
        (5_000, 32), (5_000, 16), (5_000, 8), (5_000, 4), (100_000, None),
    ]  # fmt: skip
    assert {s.corruption["ratio"] for s in run.stages[:4]} == {0.9}
    assert {s.optimizer.betas for s in run.stages} == {(0.9, 0.99)}
    assert {s.losses[0].name for s in run.stages} == {"charbonnier"}
    assert (run.data["frames"], run.data["crop"], run.data["batch"]) == (13, 128, 32)


def test_the_guided_stages_share_one_cosine_and_fine_tuning_has_its_own():
    run = parse(vig.get_config())
    rates = [build_schedule(s) for s in run.stages]
    firsts = [float(rate(jnp.int32(0))) for rate in rates]
    assert firsts[0] == firsts[4] == pytest.approx(3e-4)
    assert firsts[0] > firsts[1] > firsts[2] > firsts[3] > 1e-4
    for stage, rate, following in zip(run.stages[:3], rates, firsts[1:], strict=False):
        assert float(rate(jnp.int32(stage.steps))) == pytest.approx(following)
    assert float(rates[4](jnp.int32(100_000))) == pytest.approx(1e-4)


def test_ablations_change_one_thing():
    assert len(parse(vig.get_config("no_tgd")).stages) == 1
    (guided, last) = parse(vig.get_config("mask8")).stages
    assert (guided.steps, guided.corruption["patch"], last.steps) == (20_000, 8, 100_000)
    assert parse(vig.get_config("ratio50")).stages[0].corruption["ratio"] == 0.5
    assert parse(vig.get_config("qp22")).data["config_name"] == "qp22"


def test_an_unknown_variant_names_the_near_miss():
    with pytest.raises(UserError, match="did you mean 'packaged'"):
        vig.get_config("packagd")
