"""Published weights that training needs: a network's frozen part, and what losses look through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import EnvironmentFailure
from vqe_jax.models.shapes import initial_variables
from vqe_jax.training import adversarial, starts, step
from vqe_jax.training.stages import Stage, Term
from vqe_jax.weights.perceptual import WEIGHTS

TINY = {"divisor": 32, "head_features": 4}


def _network(**kwargs):
    return models.build("pequenet", **TINY | kwargs)


def _like(tree, value):
    return jax.tree.map(lambda leaf: np.full(leaf.shape, value, np.float32), tree)


def _shapes(network):
    return jax.eval_shape(lambda key: initial_variables(network, key), jax.random.key(0))


class Published(models.model_class("pequenet")):
    """One whose frozen part has weights at any width."""

    @property
    def frozen_sources(self):
        return {"vgg": "sevens"}


@pytest.fixture
def sevens():
    """Weights that are all 7, as those of a network of the reader's own."""
    asked = []

    def load():
        asked.append("sevens")
        return {"params": _like(_shapes(_network())["frozen"]["vgg"], 7)}

    WEIGHTS.register("sevens", load)
    yield asked
    WEIGHTS.unregister("sevens")


def test_a_start_from_scratch_takes_the_published_vgg(sevens):
    fresh = _like(_shapes(_network()), 0)
    # The narrow network has no published counterpart; one that says so gets it.
    assert starts.with_frozen(fresh, _network()) == fresh and not sevens
    assert models.build("pequenet", backbone="vgg16").frozen_sources == {"vgg": "vgg16"}
    filled = starts.with_frozen(fresh, Published(**TINY))
    assert sevens == ["sevens"]
    assert all((leaf == 7).all() for leaf in jax.tree.leaves(filled["frozen"]))
    assert filled["params"] is fresh["params"]


def test_missing_weights_are_said_before_the_first_step(monkeypatch, tmp_path):
    monkeypatch.delenv("VQE_VGG16", raising=False)
    monkeypatch.setenv("VQE_CACHE", str(tmp_path))
    monkeypatch.setenv("VQE_OFFLINE", "1")
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
