"""Where `remat` is left open, memory decides; what is computed stays the same."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.data.pipeline import DataConfig
from vqe_jax.models.shapes import initial_variables
from vqe_jax.training import memory

SMALL = {
    "vig": {"width": 4, "down_widths": (8, 12, 12)},
    "stdf": {"features": 8, "fused_features": 8, "qe_features": 8, "qe_depth": 4, "depth": 2},
    "rcvn": {"channels": 1, "features": 8, "groups": 1, "blocks": 1},
    "cvqenet": {"channels": 1, "features": 8, "front_blocks": 1, "back_blocks": 2},
}
DATA = DataConfig(frames=7, crop=16, batch=4)


@pytest.mark.parametrize("name", SMALL)
def test_the_gradient_is_the_same_whatever_is_recomputed(name):
    clip = jax.random.uniform(jax.random.key(1), (1, 7, 16, 16, 1))
    found = []
    for remat in (None, False, True):
        network = models.build(name, **SMALL[name], remat=remat)
        variables = initial_variables(network, jax.random.key(0))

        def loss(v, network=network):
            return jnp.square(network.apply(v, clip, train=True) - 0.5).mean()

        text = str(jax.make_jaxpr(jax.grad(loss))(variables))
        assert ("remat" in text or "checkpoint" in text) == (remat is True)  # None: the CPU keeps
        if remat is not None:
            found.append(jax.jit(jax.grad(loss))(variables))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), *found)


def test_memory_decides_where_nobody_has(monkeypatch):
    network = models.build("stdf", **SMALL["stdf"])
    kept = memory.kept_bytes(network, DATA)
    for total, remat in ((2 * kept, False), (2 * kept - 2, True), (None, True)):
        monkeypatch.setattr(memory, "device_bytes", lambda _, total=total: total)
        assert memory.with_remat(network, DATA).remat is remat
        for told in (True, False):
            decided = network.clone(remat=told)
            assert memory.with_remat(decided, DATA) is decided
    halved = memory.kept_bytes(network, DATA, devices=2)
    parameters = 4 * sum(
        x.size for x in jax.tree.leaves(initial_variables(network, jax.random.key(0)))
    )
    assert kept / 2 <= halved <= kept / 2 + parameters


def test_what_is_kept_is_at_least_the_layers_results():
    network = models.build("vig", **SMALL["vig"])
    pixels = DATA.batch * DATA.frames * 16 * 16
    kept = memory.kept_bytes(network, DATA)
    features = 4 * pixels * network.width  # F0 alone
    assert features < kept < 100 * features
    longer = memory.kept_bytes(network, dataclasses.replace(DATA, frames=14))
    assert longer > 1.8 * kept


def test_networks_that_choose_frames_and_those_without_the_field_are_counted_too():
    assert memory.kept_bytes(models.build("dncnn", depth=3, features=4), DATA) > 0
    chosen = models.build("mfqe") if "mfqe" in models.names() else None
    assert memory.kept_bytes(chosen, DATA) > 0
    plain = models.build("dncnn", depth=3, features=4)
    assert memory.with_remat(plain, DATA) is plain


def test_every_network_leaves_remat_to_memory():
    for name in models.names():
        assert models.fields(name).get("remat") is None, name


def test_the_host_has_memory():
    assert 2**28 < memory.device_bytes(jax.devices("cpu")[0]) < 2**50
