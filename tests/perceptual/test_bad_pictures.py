"""Modules and losses called directly refuse what would be measured wrongly, and say the way out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.losses.perceptual import dists, lpips, vgg_pyramid
from vqe_jax.perceptual import DISTS, LPIPS, InceptionV3

# Checks come before any layer, so that few weights are needed.
HEADS = {f"head{i}": np.zeros(c, np.float32) for i, c in enumerate((4, 12, 24, 16, 16))}
CALLS = {
    "LPIPS": lambda x, y: LPIPS(divisor=16).init(jax.random.key(0), x, y),
    "DISTS": lambda x, y: DISTS(divisor=32).init(jax.random.key(0), x, y),
    "Inception": lambda x, y: InceptionV3(divisor=16).init(jax.random.key(0), x),
    "lpips": lambda x, y: lpips(x, y, variables={"params": HEADS}, divisor=16),
    "dists": lambda x, y: dists(x, y, variables={"params": {}}, divisor=32),
    "vgg_pyramid": lambda x, y: vgg_pyramid(x, y, variables={"params": {}}, divisor=16),
}
GOOD = np.full((1, 128, 128, 3), 0.5, np.float32)
BAD = {
    r"is uint8, expected floats in \[0, 1\]: convert with \w+\.astype\('float32'\) / 255": (
        np.full_like(GOOD, 127, np.uint8)
    ),
    r"from 127 to 127, .*convert with \w+ / 255": GOOD * 254,
    r"convert with \(\w+ \+ 1\) / 2": GOOD * 2 - 1.9,
    r"clip first with \w+\.clip\(0, 1\)": GOOD + 0.6,
    "not finite": GOOD * np.nan,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("said", BAD)
def test_each_says_which_conversion(call, said):
    with pytest.raises(UserError, match=said):
        CALLS[call](jnp.asarray(BAD[said]), jnp.asarray(GOOD))


@pytest.mark.parametrize("call", ["LPIPS", "DISTS", "lpips"])
def test_the_target_is_looked_at_too(call):
    with pytest.raises(UserError, match="target has values from 127 to 127"):
        CALLS[call](jnp.asarray(GOOD), jnp.asarray(GOOD * 254))


@pytest.mark.parametrize("call", CALLS)
def test_compiled_functions_refuse_integers_as_well(call):
    codes = jnp.full(GOOD.shape, 127, jnp.uint8)
    with pytest.raises(UserError, match="is uint8"):
        jax.eval_shape(CALLS[call], codes, codes)


@pytest.mark.parametrize(("call", "least"), [("LPIPS", 31), ("lpips", 31), ("dists", 16)])
def test_pictures_below_the_receptive_field(call, least):
    small = jnp.asarray(GOOD[:, : least - 1])
    with pytest.raises(UserError, match=f"128x{least - 1}, but .* needs {least} pixels"):
        CALLS[call](small, small)
