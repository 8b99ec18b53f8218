"""BLUEDOT: which intra frame it takes, its textures, its second stage, its size."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.random_variables import random_variables
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.inference import enhance_frames
from vqe_jax.models import Side
from vqe_jax.models.intra_frames import IntraFrames
from vqe_jax.models.shapes import parameter_count
from vqe_jax.models.side import FrameInfo
from vqe_jax.training import recipes
from vqe_jax.training.optimizer import selected
from vqe_jax.training.starts import start_variables

TINY = {
    "features": 4,
    "frames": 3,
    "lookback": 4,
    "lookahead": 4,
    "deform_groups": 2,
    "extraction_blocks": 1,
    "reconstruction_blocks": 1,
    "remat": False,
}
TYPES = np.array([[0, 1, 1, 2, 0, 1, 1]])


def _clip(frames=7, height=8, width=12):
    return jax.random.uniform(jax.random.key(0), (1, frames, height, width, 3))


@pytest.fixture(scope="module")
def second():
    network = models.build("bluedot", **TINY, intra="predicted")
    return network, random_variables(network)


def test_parameter_counts():
    """EDVR-M, an extractor of six convolutions and the fusion; stage 2 has the whole twice."""
    short = {"lookback": 4, "lookahead": 4}  # they have no parameters
    square = 9 * 64 * 64 + 64
    one = parameter_count("edvr") + (9 * 3 * 64 + 64) + 5 * square + (9 * 128 * 64 + 64)
    assert parameter_count("bluedot", **short) == one == 3_264_931
    assert parameter_count("bluedot", intra="predicted", **short) == 2 * one
    own = parameter_count("bluedot", fusion="network", **short)
    assert own - one == (9 * 129 * 64 + 64) + square


def test_intra_frames_in_reach():
    rows = IntraFrames(4, 3, radius=1, frames=2).indices(Side(frame_type=TYPES), 7)[0]
    assert rows[0].tolist() == [0, 0, 1, 0, 0]  # 4 lies beyond the lookahead
    assert rows[1].tolist() == [0, 1, 2, 0, 4]  # from the nearest on
    assert rows[2].tolist() == [1, 2, 3, 0, 4]  # the earlier of two equally near
    assert rows[4].tolist() == [3, 4, 5, 0, 4]  # an intra frame looks at others
    assert rows[6].tolist() == [5, 6, 6, 4, 6]  # only one in reach
    compiled = jax.jit(lambda x: IntraFrames(4, 3, 1, 2).indices(Side(frame_type=x), 7))
    np.testing.assert_array_equal(compiled(TYPES)[0], rows)
    wide = IntraFrames(4, 3, radius=1, frames=1, around=1)
    assert wide.indices(Side(frame_type=TYPES), 7)[0, 3].tolist() == [2, 3, 4, 3, 4, 5]
    assert wide.indices(Side(frame_type=TYPES), 7)[0, 4].tolist() == [3, 4, 5, 3, 4, 5]


def test_the_most_relevant_intra_frame_is_taken():
    """The nearest is noise; the other shows the same picture moved by a cell."""
    network = models.build("bluedot", **TINY)
    variables = random_variables(network)
    wide = jax.random.uniform(jax.random.key(3), (28, 36, 3))
    now, moved = wide[:24, :32], wide[4:, 4:]
    noise = jax.random.uniform(jax.random.key(4), (24, 32, 3))
    windows = jnp.stack([now, now, now, noise, moved])[None]

    def intra(**fields):
        chosen = network.clone(**fields)
        run = jax.jit(lambda x: chosen.apply(variables, x, method="enhance")["intra"])
        return run(windows)[0]

    np.testing.assert_array_equal(intra(), moved)
    np.testing.assert_array_equal(intra(relevance="nearest"), noise)


def test_the_second_stage_enhances_the_intra_frame_first(second):
    network, variables = second
    windows = _clip(3 + 2 * 3)
    run = jax.jit(lambda v: network.apply(v, windows, method="enhance"))
    found = run(variables)
    # The first network, on the chosen frame and its neighbors, with itself for a texture.
    one = models.build("bluedot", **TINY | {"candidates": 1})
    of_first = {"params": {"main": variables["params"]["first"]}}
    alone = jax.jit(lambda x: one.apply(of_first, x, method="enhance")["picture"])
    predicted = [
        alone(jnp.concatenate([near, near[:, 1:2]], axis=1))
        for near in (windows[:, 3:6], windows[:, 6:9])
    ]
    distances = [float(jnp.abs(jnp.clip(p, 0, 1) - found["intra"]).max()) for p in predicted]
    assert min(distances) < 1e-5 < max(distances)

    def loss(params):
        return jnp.sum(network.apply({"params": params}, windows, method="enhance")["picture"] ** 2)

    gradient = jax.jit(jax.grad(loss))(variables["params"])
    assert not any(g.any() for g in jax.tree.leaves(gradient["first"]))
    assert all(g.any() for g in jax.tree.leaves(gradient["main"]))


def test_the_recipes_second_stage_holds_a_copy_of_the_first(second):
    network, fresh = second
    run = recipes.load("bluedot")
    assert [s.model_kwargs for s in run.stages] == [{}, {"intra": "predicted"}]
    given = {"params": {"main": jax.tree.map(lambda x: x + 1.0, fresh["params"]["main"])}}
    stage = dataclasses.replace(run.stages[1], start="previous")  # as from its file
    run = dataclasses.replace(run, stages=(run.stages[0], stage))
    start = start_variables(
        run, 1, network, workdir=Path("none"), previous=given, fresh=jax.tree.map(jnp.array, fresh)
    )
    for part in ("main", "first"):
        jax.tree.map(np.testing.assert_array_equal, start["params"][part], given["params"]["main"])
    held = selected(start["params"], [r.pattern for r in stage.rates], "rates")
    assert held and all(path.startswith("first/") for path in held)


def test_streaming_the_second_stage_equals_the_whole_clip(second):
    network, variables = second
    clip = _clip()
    side = Side(frame_type=jnp.asarray(TYPES))
    whole = jax.jit(lambda x: network.apply(variables, x, side=side))(clip)
    infos = [FrameInfo(type=int(k)) for k in TYPES[0]]
    streamed = enhance_frames((network, variables), np.asarray(clip[0]), infos=infos, chunk=2)
    atol = 1e-5 * max(1.0, float(jnp.abs(whole).max()))
    np.testing.assert_allclose(np.stack(list(streamed)), whole[0], atol=atol)


def test_frame_types_must_be_known():
    network = models.build("bluedot", **TINY)
    with pytest.raises(UserError, match="Bluedot needs frame_type beside the frames"):
        network.apply(random_variables(network), _clip())


def test_fields_are_checked():
    with pytest.raises(UserError, match="relevance='near' does not exist; did you mean 'nearest'"):
        models.build("bluedot", relevance="near")
