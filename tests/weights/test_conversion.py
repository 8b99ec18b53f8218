"""Official names and layouts into ours and back, strictly."""

import logging

import flax.linen as nn
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.weights import from_torch, to_torch
from vqe_jax.weights.conversion import table_of

SMALL = {"radius": 1, "features": 8, "qe_features": 8, "qe_depth": 4}


@pytest.fixture(scope="module")
def official():
    """Seeded official tensors of a small STDF."""
    rng = np.random.default_rng(0)
    table = table_of("stdf", **SMALL)
    return {t.names[0]: rng.random(t.shape, np.float32) for t in table.values()}


def test_a_checkpoint_is_unwrapped_and_comes_back(official):
    wrapped = {"state_dict": {"module." + k: v for k, v in official.items()}, "num_iter_accum": 3}
    back = to_torch("stdf", from_torch("stdf", wrapped, **SMALL), **SMALL)
    assert back.keys() == official.keys()
    for key, value in official.items():
        np.testing.assert_array_equal(back[key], value)


def test_missing_unused_and_misshapen_tensors_are_named(official):
    key = "ffnet.in_conv.0.weight"
    without = {k: v for k, v in official.items() if k != key}
    with pytest.raises(UserError, match=rf"lacks {key} \(8, 3, 3, 3\)$"):
        from_torch("stdf", without, **SMALL)
    with pytest.raises(UserError, match=r"does not use: stray \(1,\)$"):
        from_torch("stdf", official | {"stray": np.zeros(1)}, **SMALL)
    with pytest.raises(UserError, match=rf"lacks {key}.*; it has .* does not use: stray"):
        from_torch("stdf", without | {"stray": np.zeros(1)}, **SMALL)
    cut = official | {key: official[key][:, :1]}
    with pytest.raises(UserError, match=rf"{key}.* \(8, 1, 3, 3\).* \(8, 3, 3, 3\).*settings"):
        from_torch("stdf", cut, **SMALL)


def test_a_tensor_in_two_spellings_is_refused(official):
    with pytest.raises(UserError, match=r"'ffnet\.\S+' twice, once spelt 'module\.ffnet"):
        key = "ffnet.in_conv.0.bias"
        from_torch("stdf", official | {f"module.{key}": official[key]}, **SMALL)


def test_a_variable_that_is_missing_is_named(official):
    variables = from_torch("stdf", official, **SMALL)
    del variables["params"]["fusion"]["in_conv"]["bias"]
    with pytest.raises(UserError, match=r"stdf: the variables lack params/fusion/in_conv/bias$"):
        to_torch("stdf", variables, **SMALL)


def test_a_network_without_official_names_says_so():
    with pytest.raises(UserError, match="'vig' has no official PyTorch names"):
        from_torch("vig", {})


class Own(models.FrameNetwork):
    """A reader's network that brings its rules along."""

    width: int = 4

    official_rules = ((r"conv(\d)", r"body.\1"), (r"gain", ("g", "copy.g"), "1 c -> c"))
    official_dead = (r"^unread\.",)
    official_renames = ((r"^trunk\.", "body."),)

    @nn.compact
    def enhance(self, frames, side=models.Side(), *, train=False):
        gain = self.param("gain", nn.initializers.ones, (self.width,))
        x = nn.Conv(self.width, (3, 3), name="conv0")(frames) * gain.reshape(1, 1, 1, -1)
        return nn.Conv(self.channels, (1, 1), use_bias=False, name="conv1")(x)


OWN = f"{__name__}:Own"


@pytest.fixture
def own():
    rng = np.random.default_rng(0)
    gain = rng.random((1, 4))
    return {
        "trunk.0.weight": rng.random((4, 1, 3, 3)),
        "trunk.0.bias": rng.random(4),
        "trunk.1.weight": rng.random((1, 4, 1, 1)),
        "g": gain,
        "copy.g": gain,
        "unread.weight": np.zeros(9),
    }


def test_a_network_of_ones_own_brings_rules_dead_tensors_and_other_spellings(own, caplog):
    with caplog.at_level(logging.INFO):
        variables = from_torch(OWN, own)
    assert "dropped, since nothing reads them: unread.weight" in caplog.text
    np.testing.assert_array_equal(variables["params"]["gain"], own["g"][0])
    back = to_torch(OWN, variables)
    wanted = {k.replace("trunk", "body"): v for k, v in own.items() if k != "unread.weight"}
    assert back.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(back[name], value)


def test_a_shared_tensor_may_stand_once_but_not_twice_with_different_values(own):
    once = {k: v for k, v in own.items() if k != "g"}
    np.testing.assert_array_equal(from_torch(OWN, once)["params"]["gain"], own["g"][0])
    with pytest.raises(UserError, match=r"'g' and 'copy.g' are one, but they differ"):
        from_torch(OWN, own | {"copy.g": own["g"] + 1})
