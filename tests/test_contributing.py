"""CONTRIBUTING's page on adding a network, followed to the letter."""

import re
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import vqe_jax
from vqe_jax import models
from vqe_jax.inference import enhance_frames
from vqe_jax.models import Side, WindowNetwork
from vqe_jax.models.shapes import initial_variables, variable_shapes
from vqe_jax.nn.frame_windows import frame_stack
from vqe_jax.nn.layers import Conv, leaky_relu
from vqe_jax.weights.conversion import from_torch
from vqe_jax.weights.rules import Rules

ROOT = Path(__file__).parents[1]


def _code():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_network_of_the_page_trains_streams_and_takes_official_names():
    names = (WindowNetwork, Side, Conv, leaky_relu, frame_stack)
    known = {"nn": nn, "Rules": Rules, "__name__": __name__, **{n.__name__: n for n in names}}
    for block in _code():
        exec(block, known)
    mine = known["Mine"]
    mine.official_rules = known["RULES"]
    models.register("mine", mine)
    try:
        network = models.build("mine", features=4, radius=1)
        variables = initial_variables(network, jax.random.key(0))
        clip = jax.random.uniform(jax.random.key(1), (1, 5, 9, 13, 1))
        whole = network.apply(variables, clip)
        streamed = np.stack(list(enhance_frames((network, variables), np.asarray(clip[0]))))
        np.testing.assert_allclose(streamed, whole[0], atol=1e-6)
        grads = jax.grad(lambda v: jnp.square(network.apply(v, clip)).sum())(variables)
        assert all(jnp.abs(g).max() > 0 for g in jax.tree.leaves(grads))
        shapes = {"head.0.weight": (4, 3, 3, 3), "head.0.bias": 4, "tail.weight": (1, 4, 3, 3)}
        torch = {k: np.ones(s, np.float32) for k, s in {**shapes, "tail.bias": 1}.items()}
        found = from_torch("mine", torch, features=4, radius=1)
        assert len(jax.tree.leaves(found)) == len(variable_shapes("mine", features=4, radius=1))
    finally:
        models.unregister("mine")


def test_files_that_the_page_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for path in re.findall(r"`((?:vqe_jax|configs|tests|docs)/[\w/.]+)`", text):
        assert "NAME" in path or (ROOT / path).exists(), path


def test_the_packages_top_level_shows_its_names():
    assert {"enhance", "enhance_video", "__version__"} <= set(dir(vqe_jax))
