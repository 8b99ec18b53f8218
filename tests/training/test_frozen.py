"""Published weights that training needs: a network's frozen part, and what losses look through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import EnvironmentFailure
from vqe_jax.models.shapes import initial_variables
from vqe_jax.training import adversarial, objective, starts, step
from vqe_jax.training.stages import Stage, Term
from vqe_jax.weights import PerceptualWeights

TINY = {"divisor": 32, "head_features": 4}


def _network(**kwargs):
    return models.build("pequenet", **TINY | kwargs)


def _like(tree, value):
    return jax.tree.map(lambda leaf: np.full(leaf.shape, value, np.float32), tree)


def _shapes(network):
    return jax.eval_shape(lambda key: initial_variables(network, key), jax.random.key(0))


def test_a_start_from_scratch_takes_the_published_vgg(monkeypatch):
    asked = []

    def load(name):
        asked.append(name)
        return PerceptualWeights(name, {"params": _like(shapes["frozen"]["vgg"], 7)}, "test")

    monkeypatch.setattr(starts, "load_perceptual", load)
    shapes = _shapes(_network())
    fresh = _like(shapes, 0)
    # The narrow network has no published counterpart; one that says so gets it.
    assert starts.with_frozen(fresh, _network()) == fresh
    assert models.build("pequenet", backbone="vgg16").frozen_sources == {"vgg": "vgg16"}
    monkeypatch.setattr(models.model_class("pequenet"), "frozen_sources", {"vgg": "vgg19"})
    filled = starts.with_frozen(fresh, _network())
    assert asked == ["vgg19"]
    assert all((leaf == 7).all() for leaf in jax.tree.leaves(filled["frozen"]))
    assert filled["params"] is fresh["params"]


def test_missing_weights_are_said_before_the_first_step(monkeypatch):
    def load(name):
        raise EnvironmentFailure(f"weights of {name!r} are missing")

    monkeypatch.setattr(objective, "load_perceptual", load)
    stage = Stage("gan", 1, "adversarial", losses=(Term("vgg_pyramid", 1.0, {"depth": 16}),))
    with pytest.raises(EnvironmentFailure, match="'vgg16' are missing"):
        adversarial.make_step(stage, _network(), step.make_place(1))


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [("pequenet", TINY), ("dcngan", {"features": 2, "blocks": 1, "fusion_features": 2})],
)
def test_both_generators_take_the_adversarial_step(name, kwargs):
    network = models.build(name, **kwargs)
    options = {"discriminator": {"features": 2}}
    stage = Stage("gan", 1, "adversarial", losses=(), options=options)
    trainer = adversarial.Trainer(stage, network, step.make_place(1))
    state = jax.eval_shape(trainer.init_state, _shapes(network))
    clip = jax.ShapeDtypeStruct((2, 3, 64, 64, 1), jnp.float32)
    batch = {"compressed": clip, "raw": clip, "qp": jax.ShapeDtypeStruct((2,), jnp.int32)}
    new, _ = jax.eval_shape(trainer.step, state, batch, {})
    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert set(state.stats) == {"frozen" if name == "pequenet" else "batch_stats"}
    picture = jax.eval_shape(trainer.sample, state, batch)
    assert picture.shape == (64, 3 * 64, 1)
