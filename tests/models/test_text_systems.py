"""Systems that exist only as text: their sizes, and what the text says of each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models import Side
from vqe_jax.models.references import CandidateChain
from vqe_jax.models.shapes import parameter_count, variable_shapes
from vqe_jax.nn.gated_fusion import GatedFusion
from vqe_jax.nn.wdsr import AdaWDSRBlock
from vqe_jax.training import recipes
from vqe_jax.training.optimizer import build_schedule

COUNTS = {
    "gogoing": ({}, 45_566_211),
    "gogoing, a picture handed on": ({"handed": "picture"}, 45_569_734),
    "gogoing, narrow U-Net": ({"widths": "same", "skips": "added"}, 5_142_227),
    "smgf": ({}, 59_167_737),
    "smgf, 128 channels between the blocks": ({"trunk": "whole"}, 62_206_201),
    "noahtcv": ({}, 59_707_275),
    "tim": ({}, 41_862_054),
    "tim, with skips": ({"skips": "both"}, 42_636_198),
    "psmgf": ({}, 92_495_680),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    fields, count = COUNTS[name]
    assert parameter_count(name.split(",")[0], **fields) == count


def test_gogoing_hands_a_picture_on_only_where_it_is_asked_to():
    assert models.build("gogoing").context.outputs == ("offsets",)
    assert models.build("gogoing", handed="picture").context.outputs == ("offsets", "stage1")
    with pytest.raises(UserError, match="handed='frame' does not exist"):
        models.build("gogoing", handed="frame")
    with pytest.raises(UserError, match="reduction=128 leaves no channel of features=64"):
        models.build("gogoing", reduction=128)


# Low delay: every fourth frame is better than its neighbors.
QP = np.array([[37, 42, 40, 41, 38, 42, 40, 41, 38, 42, 40, 41, 38, 42, 40, 41, 38]])


def _chain(side, t, **fields):
    return CandidateChain(16, 16, **fields).indices(side, len(QP[0]))[0, t].tolist()


def test_smgf_takes_the_neighbors_then_candidate_after_candidate():
    side = Side(frame_qp=QP)
    for t in range(len(QP[0])):
        assert _chain(side, t) == _by_words(QP[0], t)


def _by_words(qp, t):
    """The report's three rules, one after the other, for one frame."""
    last = len(qp) - 1

    def lower(i):
        return all(qp[i] < qp[j] for j in (i - 1, i + 1) if 0 <= j <= last)

    sides = []
    for step in (-1, 1):
        chosen = [min(max(t + step, 0), last)]
        i = chosen[0] + step
        while 0 <= i <= last and len(chosen) < 4:
            if lower(i) and abs(i - t) < 16:
                chosen.append(i)
            i += step
        sides.append(chosen + [chosen[-1]] * (4 - len(chosen)))
    return [*sides[0][::-1], t, *sides[1]]


def test_smgf_takes_intra_and_predicted_frames_in_the_fixed_rate_track():
    kinds = np.array([[0, 2, 2, 1, 2, 2, 1, 2, 2, 1, -1, 2, 1, 2, 2, 2, 2]])
    told = Side(frame_type=kinds)
    assert _chain(told, 7, candidates="type") == [
        *(0, 0, 3, 6),
        7,
        *(8, 9, 12, 12),
    ]
    with pytest.raises(UserError, match="SMGF needs frame_type beside the frames"):
        models.build("smgf", candidates="type").check_side(Side(frame_qp=QP))
    with pytest.raises(UserError, match=r"reach of 4 frames holds no each_side=4 references; .* 5"):
        models.build("smgf", reach=4)


def test_a_reach_cut_short_chooses_as_the_whole_clip_does():
    """What a stream sees of frame 9 is frames 3 to 15; frame 3 itself lacks a neighbor there."""
    told, short = Side(frame_qp=QP), CandidateChain(6, 6)
    whole = short.indices(told, 17)[0, 9]
    assert whole.min() > 3
    np.testing.assert_array_equal(short.indices(told.frames(3, 16), 13)[0, 6] + 3, whole)


def test_tim_sharpens_edges_alone():
    """Flat regions stay, a soft edge becomes steeper, by as much as the gain says."""
    row = jnp.clip((jnp.arange(24.0) - 8) / 8, 0, 1)  # flat, a slope of eight pixels, flat
    frame = jnp.broadcast_to(row[None, None, :, None], (1, 6, 24, 3))
    half, whole = (models.build("tim", sharpness=s)._sharpened(frame) - frame for s in (0.5, 1.0))
    np.testing.assert_allclose(2 * half, whole, atol=1e-6)
    moved = np.asarray(whole[0, 3, :, 0])
    assert np.abs(moved[:4]).max() < 1e-6 and np.abs(moved[-4:]).max() < 1e-6
    assert moved[8] < -0.01 and moved[16] > 0.01  # darker foot, brighter top
    # At half the edge scale the weight is a half: the slope is 1/8 a pixel, the scale 1/4.
    weaker = models.build("tim", edge_scale=0.5)._sharpened(frame) - frame
    np.testing.assert_allclose(2 * weaker[0, 3, 10], whole[0, 3, 10], atol=1e-6)


def test_edvr_mends_frames_only_at_a_quarter_of_the_size():
    with pytest.raises(UserError, match=r"predeblur=True .* needs strided=True"):
        models.build("edvr", predeblur=True)


def test_every_stage_of_tim_has_all_parameters_and_the_first_needs_no_neighbors():
    narrow = {"features": 4, "levels": 1, "frames": 3, "edvr_features": 4, "deform_groups": 2}
    narrow |= {"extraction_blocks": 1, "reconstruction_blocks": 1, "remat": False}
    counts = {o: parameter_count("tim", **narrow, output=o) for o in ("texture", "sharp")}
    assert counts["texture"] == counts["sharp"]
    assert models.build("tim", output="texture").context.past == 0
    assert models.build("tim").context.past == 2


def test_psmgf_holds_smgf_under_its_own_names():
    narrow = {"blocks": 1, "features": 4, "expanded": 4, "reduction": 2, "fused_features": 4}
    narrow |= {"stdf_features": 4, "stdf_depth": 1, "remat": False}
    rrdb = {"rrdb_features": 4, "rrdb_growth": 2, "rrdb_blocks": 1}
    before = variable_shapes("smgf", **narrow)
    after = variable_shapes("psmgf", **narrow, **rrdb)
    assert set(before) < set(after)
    own = {path.split("/")[1] for path in set(after) - set(before)}
    assert own == {"generator1", "generator2", "generator_gate"}


def test_a_wide_block_weighs_its_paths_and_the_gate_begins_with_the_mean():
    x = jax.random.normal(jax.random.key(0), (1, 4, 4, 8))
    block = AdaWDSRBlock(expanded=16, reduction=4)
    params = block.init(jax.random.key(1), x)["params"]
    assert (params["alpha"].item(), params["beta"].item()) == (1.0, pytest.approx(0.2))
    whole = block.apply({"params": params}, x)
    alone = block.apply({"params": params | {"beta": jnp.zeros(1)}}, x)
    np.testing.assert_array_equal(alone, x)
    double = block.apply({"params": params | {"beta": 2 * params["beta"]}}, x)
    np.testing.assert_allclose(double - x, 2 * (whole - x), atol=1e-6)
    one, two, frame = (jnp.full((1, 4, 4, 3), v) for v in (0.2, 0.6, 0.9))
    fused, mask = GatedFusion(4, 2).init_with_output(jax.random.key(2), one, two, frame)[0]
    np.testing.assert_allclose(fused, 0.4, atol=1e-6)
    assert mask.shape == (1, 4, 4, 1)


def test_gogoing_restarts_at_its_first_rate():
    (stage,) = recipes.load("gogoing").stages
    rate = build_schedule(stage)
    assert float(rate(jnp.int32(49_999))) == pytest.approx(1e-7, rel=0.1)
    for restart in (0, 50_000, 150_000, 450_000):
        assert float(rate(jnp.int32(restart))) == pytest.approx(4e-4)


@pytest.mark.parametrize(
    ("name", "frames"), [("smgf", 9), ("noahtcv", 3), ("gogoing", 7), ("tim", 5)]
)
def test_windows_of_another_length_are_refused(name, frames):
    network, windows = models.build(name), jax.ShapeDtypeStruct((1, 4, 16, 16, 3), jnp.float32)
    call = functools.partial(network.init, method="enhance")
    with pytest.raises(UserError, match=f"windows of 4 frames, expected {frames}"):
        jax.eval_shape(call, jax.random.key(0), windows)
