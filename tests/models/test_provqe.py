import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models import golden
from tests.models.test_basicvsrpp import SMALL, official_shapes, random_clip, random_variables
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.inference.bidirectional import exact
from vqe_jax.inference.side_info import SideStream
from vqe_jax.models import Side
from vqe_jax.models.shapes import parameter_count
from vqe_jax.models.side import FrameInfo
from vqe_jax.nn.grid_propagation import GridPass, no_memory
from vqe_jax.ops.warp import flow_warp
from vqe_jax.weights.conversion import table_of


@pytest.fixture(scope="module")
def small():
    network = models.build("provqe", **SMALL)
    return network, random_variables(network)


def _sweeps(network, variables, clip, peaks):
    """Pictures, and the first channel of what enters the reconstruction, of one clip in passes."""
    sweep = jax.jit(
        lambda v, i, state, frame, kept, peak: network.apply(
            v, i, state, frame, kept, side=Side(peak=peak), method="sweep"
        ),
        static_argnums=1,
    )
    kept: list = [() for _ in range(clip.shape[1])]
    for index, direction in enumerate(network.sweeps):
        state = None
        for t in range(clip.shape[1])[:: 1 if direction == "forward" else -1]:
            now = slice(t, t + 1)
            state, result = sweep(variables, index, state, clip[:, now], kept[t], peaks[:, now])
            if index == 3:
                kept[t] = (*kept[t], {"features": state[0].features})
            kept[t] = (*kept[t], result)
    features = [[k[0]["spatial"], *(one["features"] for one in k[:4])] for k in kept]
    first = np.stack([[x[..., 0] for x in frame] for frame in features], axis=2)
    return np.stack([k[4] for k in kept], axis=1), first.transpose(2, 0, 1, 3, 4)[:, :, 0]


def test_golden(shared):
    file = golden.load(shared, "provqe_stage1_c8n1_hr_t5")
    kwargs = {"features": 8, "blocks": 1}
    network, variables = models.build("provqe", **kwargs), file.variables("provqe", **kwargs)
    clip = jnp.asarray(np.moveaxis(file.data["in/lqs"], 2, -1))
    peaks = jnp.asarray(file.data["in/key_frms"], bool)
    assert 0 < peaks.sum() < 5
    frames, features = _sweeps(network, variables, clip, peaks)
    out = np.moveaxis(frames, -1, 2)
    file.check(out[..., 1::4, 2::4], "y_sub4")
    file.check(out[..., 96:136, 100:148], "y_crop")
    file.check(features[None, ..., ::2, ::2], "feat")


def test_names_are_those_of_basicvsrpp_and_depth_adds_blocks(shared):
    assert official_shapes(shared, "provqe_stage1") == official_shapes(
        shared, "basicvsrpp_c128n25_hr_ntire_decompress"
    )
    table = table_of("provqe")
    found = {t.names[0]: t.shape for t in table.values()}
    assert found == official_shapes(shared, "basicvsrpp_c64n7_hr")
    assert sum(math.prod(t.ours) for t in table.values()) == 7_396_783
    one, deep = (
        parameter_count("provqe", features=128, blocks=1, reconstruction_blocks=n) for n in (5, 55)
    )
    assert 44_075_631 + deep - one == 58_834_031


def _chain(flows, last, first):
    """Flow from frame ``last`` to ``first``, one step after the other; ``flows[j]``: j to j - 1."""
    total = flows[first + 1]
    for j in range(first + 2, last + 1):
        total = flows[j] + flow_warp(total, flows[j])
    return total


@pytest.mark.parametrize(
    "keys", [(0, 0, 0, 0, 0, 0), (1, 1, 1, 1, 1, 1), (1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, 0)]
)
def test_the_second_frame_is_the_latest_key_before_the_last(keys):
    """The definition: step i aligns the largest key j <= i - 2, or i - 2; flows are chained."""
    rng = np.random.default_rng(0)
    flows = jnp.asarray(rng.normal(0, 1, (6, 1, 6, 7, 2)), jnp.float32)
    maps = jnp.asarray(rng.random((6, 1, 6, 7, 2)), jnp.float32)
    one = GridPass(2, 1, 2, 10.0)
    memory = no_memory((1, 6, 7), 2, "float32")
    key = jnp.zeros((1,), bool)
    variables = one.init(jax.random.key(0), memory, maps[0], (), flows[0], key)
    step = jax.jit(lambda m, x, flow, key: one.apply(variables, m, x, (), flow, key))
    outputs = []
    for i in range(6):
        memory = step(memory, maps[i], flows[i], jnp.asarray([bool(keys[i])]))
        outputs.append(memory.features)
        if i < 1:
            continue
        # What the next step, i + 1, will align beside frame i.
        k = max((j for j in range(i) if keys[j]), default=i - 1)
        np.testing.assert_array_equal(memory.second, outputs[k])
        np.testing.assert_allclose(memory.flow, _chain(flows, i, k), rtol=0, atol=1e-5)


def test_clips_of_a_batch_have_their_own_keys_and_none_or_all_is_basicvsrpp(small):
    network, variables = small
    clip = random_clip(t=5)
    peaks = np.array([[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 1, 0], [0, 1, 0, 0, 0]], bool)
    clips = jnp.concatenate([clip, clip, clip, random_clip(t=5, seed=2)])
    run = jax.jit(lambda v, x, p: network.apply(v, x, side=Side(peak=p)))
    whole = run(variables, clips, jnp.asarray(peaks))
    plain = models.build("basicvsrpp", **SMALL)
    expected = jax.jit(lambda v, x: plain.apply(v, x))(variables, clip)
    for found in whole[:2]:
        np.testing.assert_allclose(found, expected[0], rtol=0, atol=2e-6)
    assert float(jnp.max(jnp.abs(whole[2] - expected[0]))) > 1e-4
    for one in (2, 3):
        told = SideStream(network, infos=[FrameInfo(peak=bool(p)) for p in peaks[one]])
        swept = np.stack(list(exact(network, variables, told, iter(np.asarray(clips[one])))))
        np.testing.assert_allclose(swept, whole[one], rtol=0, atol=2e-6)


def test_keys_are_asked_for(small):
    network, variables = small
    with pytest.raises(UserError, match="ProVQE needs peak beside the frames; find the peak"):
        network.apply(variables, random_clip(t=2))
