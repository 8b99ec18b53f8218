"""The recipes of OVQE, STDR and CF-STIF against what their authors' code does."""

import jax.numpy as jnp
import numpy as np

from vqe_jax.training.optimizer import build_schedule
from vqe_jax.training.recipes import load


def test_ovqe_lowers_its_rate_at_three_steps():
    run = load("ovqe")
    (stage,) = run.stages
    rate = build_schedule(stage)
    steps = (0, 149_999, 150_001, 249_999, 250_001, 349_999, 350_001, 399_999)
    expected = (1e-4, 1e-4, 5e-5, 5e-5, 2e-5, 2e-5, 1e-5, 1e-5)
    np.testing.assert_allclose([float(rate(jnp.int32(s))) for s in steps], expected, rtol=1e-5)
    assert stage.losses[0].options == {"eps": 1e-6}
    assert (run.data["frames"], run.data["crop"], run.data["batch"]) == (15, 64, 8)


def test_stdr_adds_the_correlation_and_cfstif_does_not():
    (stdr,), (cfstif,) = load("stdr").stages, load("cfstif").stages
    assert [(t.name, t.weight) for t in stdr.losses] == [("l2", 1.0), ("pearson", 1.0)]
    assert [(t.name, t.weight) for t in cfstif.losses] == [("l2", 1.0)]
    for stage in (stdr, cfstif):
        assert (stage.steps, stage.learning_rate, stage.schedule.name) == (3e5, 1e-4, "constant")


def test_other_qps_go_on_from_a_model():
    run = load("stdr:qp32,start=/x/qp37.safetensors")
    (stage,) = run.stages
    assert (stage.steps, stage.start) == (1e5, "/x/qp37.safetensors")
    assert run.data["config_name"] == "qp32"
