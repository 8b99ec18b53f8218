import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training import synthetic
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import initial_variables
from vqe_jax.training.stages import Stage, parse
from vqe_jax.training.starts import start_variables, with_parts


@pytest.fixture(scope="module")
def variables():
    network = models.build("basicvsr", features=4, blocks=1)
    shapes = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    return jax.tree.map(lambda x: jnp.zeros(x.shape), shapes)


def _stage(*parts):
    return dataclasses.replace(Stage("one", 1), parts=parts)


def test_official_flow_weights_start_the_flow_network(shared, variables):
    path = shared / "weights" / "spynet_sintel_final.npz"
    params = with_parts(variables, _stage(("spynet", str(path))))["params"]
    kernel = params["spynet"]["level0"]["conv0"]["kernel"]
    official = np.load(path)["basic_module.0.basic_module.0.conv.weight"]
    np.testing.assert_array_equal(kernel, official.transpose(2, 3, 1, 0))
    assert not params["fusion"]["kernel"].any()


def test_a_subtree_is_copied(variables):
    variables = jax.tree.map(lambda x: x, variables)
    variables["params"]["forward_trunk"]["conv"]["bias"] = jnp.ones(4)
    params = with_parts(variables, _stage(("backward_trunk", "forward_trunk")))["params"]
    np.testing.assert_array_equal(params["backward_trunk"]["conv"]["bias"], np.ones(4))
    assert not variables["params"]["backward_trunk"]["conv"]["bias"].any()


def test_a_flow_network_of_other_widths_is_said(shared):
    network = models.build("basicvsr", features=4, blocks=1, flow_widths=(8, 64, 32, 16))
    shapes = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    narrow = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    path = shared / "weights" / "spynet_sintel_final.npz"
    said = r"spynet/level\d/conv[01]/\w+ is \(.*32.*\) there and \(.*8.*\) here"
    with pytest.raises(UserError, match=said):
        with_parts(narrow, _stage(("spynet", str(path))))


@pytest.mark.parametrize("start", ["first", "runs/first/last.safetensors"])
def test_a_predecessor_that_was_not_trained_is_said(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stages = ({"name": "first", "steps": 1}, {"name": "second", "steps": 1, "start": start})
    plan = parse(synthetic.config(*stages))
    with pytest.raises(UserError, match=f"'second' starts from '{start}', which has not been tr"):
        start_variables(plan, 1, synthetic.Tiny(), workdir=tmp_path)


def test_what_does_not_fit_is_said(variables):
    mistakes = {
        r"no parameters under 'spinet'; did you mean 'spynet'": ("spinet", "fusion"),
        "neither a subtree of the parameters nor a file": ("spynet", "nothing.npz"),
        "do not have the same parameters": ("spynet", "forward_trunk"),
        r"fusion/kernel is \(3, 3, 4, 4\) there and \(1, 1, 8, 4\) here": ("fusion", "conv_hr"),
    }
    for message, part in mistakes.items():
        with pytest.raises(UserError, match=message):
            with_parts(variables, _stage(part))
