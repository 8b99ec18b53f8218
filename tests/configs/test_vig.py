"""The recipe of VIG: the paper's numbers are in it."""

import jax.numpy as jnp
import pytest

from vqe_jax.models.shapes import parameter_count
from vqe_jax.training.optimizer import build_schedule
from vqe_jax.training.recipes import load


def test_the_default_is_the_papers_recipe():
    run = load("vig")
    assert parameter_count(run.model, **run.model_kwargs) == 434_185
    assert [(s.steps, s.corruption and s.corruption["patch"]) for s in run.stages] == [
        (5_000, 32), (5_000, 16), (5_000, 8), (5_000, 4), (100_000, None),
    ]  # fmt: skip
    assert {s.corruption["ratio"] for s in run.stages[:4]} == {0.9}
    assert {s.optimizer.betas for s in run.stages} == {(0.9, 0.99)}
    assert {s.losses[0].name for s in run.stages} == {"charbonnier"}
    assert (run.data["frames"], run.data["crop"], run.data["batch"]) == (13, 128, 32)


def test_the_guided_stages_share_one_cosine_and_fine_tuning_has_its_own():
    stages = load("vig").stages
    rates = [build_schedule(s) for s in stages]
    firsts = [float(rate(jnp.int32(0))) for rate in rates]
    assert firsts[0] == firsts[4] == pytest.approx(3e-4)
    assert firsts[0] > firsts[1] > firsts[2] > firsts[3] > 1e-4
    for stage, rate, following in zip(stages[:3], rates, firsts[1:], strict=False):
        assert float(rate(jnp.int32(stage.steps))) == pytest.approx(following)
    assert float(rates[4](jnp.int32(100_000))) == pytest.approx(1e-4)


def test_ablations_change_one_thing():
    assert len(load("vig:no_tgd").stages) == 1
    (guided, last) = load("vig:mask8").stages
    assert (guided.steps, guided.corruption["patch"], last.steps) == (20_000, 8, 100_000)
    assert load("vig:ratio50").stages[0].corruption["ratio"] == 0.5
    assert load("vig:qp22").data["config_name"] == "qp22"
