"""EDVR against the official code; its forms, offsets, windows and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.golden import load
from tests.models.random_variables import random_variables
from tests.models.test_parity import official_keys
from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import initial_variables, parameter_count
from vqe_jax.training.forward import scalar_metrics
from vqe_jax.weights.conversion import table_of

TINY = {
    "features": 4,
    "frames": 3,
    "deform_groups": 2,
    "extraction_blocks": 1,
    "reconstruction_blocks": 1,
    "channels": 1,
    "remat": False,
}
NAME = "edvr_c16_tsa_bigoffset"
GOLDEN = {"features": 16, "extraction_blocks": 2, "reconstruction_blocks": 2, "upscale": 4}


def _official(**fields):
    return {t.names[0]: t.shape for t in table_of("edvr", **fields).values()}


def _clip(frames=3, height=8, width=12, seed=0):
    return jax.random.uniform(jax.random.key(seed), (1, frames, height, width, 1))


@pytest.fixture(scope="module")
def tiny():
    network = models.build("edvr", **TINY)
    return network, random_variables(network)


@pytest.mark.parametrize(
    ("name", "count", "fields"),
    [
        ("edvr_M_mmedit_wotsa", 2_996_259, {"upscale": 4, "tsa": False}),
        (
            "edvr_L_mmedit_c128_5_40_tsa",
            20_633_827,
            {"upscale": 4, "features": 128, "reconstruction_blocks": 40},
        ),
    ],
)
def test_names_and_counts_of_other_sizes(shared, name, count, fields):
    assert _official(**fields) == official_keys(shared, name)
    assert parameter_count("edvr", **fields) == count


def test_basicsr_has_other_names_for_the_same(shared):
    shapes = official_keys(shared, "basicsr_edvr_M")
    rng = np.random.default_rng(0)
    theirs = {k: rng.random(s, np.float32) for k, s in shapes.items()}
    wrapped = {"params": {f"module.{k}": v for k, v in theirs.items()}}
    found = weights.to_torch("edvr", weights.from_torch("edvr", wrapped, upscale=4), upscale=4)
    assert np.array_equal(found["feat_l3_conv2.conv.bias"], theirs["conv_l3_2.bias"])
    one = "pcd_alignment.offset_conv3.l1.conv.weight"
    assert np.array_equal(found[one], theirs["pcd_align.offset_conv3.l1.weight"])
    assert len(found) == len(theirs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": 8}, r"\(16, 3, 3, 3\), .*expected \(8, 3, 3, 3\)"),
        ({"frames": 7}, r"'fusion.*\(16, 80, 1, 1\).*expected \(16, 112, 1, 1\)"),
        ({"tsa": False}, r"lacks fusion.bias.*does not use: fusion.feat_fusion.conv"),
        ({"upscale": 1}, r"does not use: upsample1.upsample_conv.bias"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(shared, fields, message):
    with pytest.raises(UserError, match=message):
        weights.from_torch("edvr", load(shared, NAME).state_dict, **GOLDEN | fields)


def test_offsets_are_named_and_measured(tiny):
    network, variables = tiny
    run = jax.jit(lambda v, x: network.apply(v, x, outputs=True, train=True, mutable=["metrics"]))
    found, sown = run(variables, _clip())
    shapes = {k: v.shape for k, v in found["offsets"].items()}
    assert shapes["l3"] == (1, 3, 3, 2, 3, 36) and shapes["cascade"] == (1, 3, 3, 8, 12, 36)
    sizes = [np.abs(x) for x in found["offsets"].values()]
    metrics = scalar_metrics(sown["metrics"])
    assert float(metrics["offset_max"]) == pytest.approx(max(s.max() for s in sizes))
    assert float(metrics["offset_mean"]) == pytest.approx(
        float(np.mean([s.mean() for s in sizes])), rel=1e-5
    )


def test_it_starts_without_offsets():
    network = models.build("edvr", **TINY)
    variables = initial_variables(network, jax.random.key(0))
    assert set(variables) == {"params"}
    found = jax.jit(lambda v, x: network.apply(v, x, outputs=True))(variables, _clip())
    assert not any(np.any(x) for x in found["offsets"].values())


@pytest.mark.parametrize("fields", [{"strided": True}, {"upscale": 4, "tsa": False}])
def test_other_forms_have_their_sizes(fields):
    network = models.build("edvr", **TINY, **fields)
    shapes = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
    scale = network.context.scale
    found = jax.eval_shape(lambda v: network.apply(v, _clip(2, 20, 13), outputs=True), shapes)
    assert found["picture"].shape == (1, 2, 20 * scale, 13 * scale, 1)
    # Padded to 32x16, of which a quarter, or to 20x16.
    assert found["offsets"]["cascade"].shape[3:5] == ((8, 4) if scale == 1 else (20, 16))


def test_powervqe_names_of_the_strided_form():
    names = _official(strided=True)
    assert names["conv_ds1.weight"] == (64, 3, 3, 3) and names["conv_ds2.weight"] == (64, 64, 3, 3)
    assert names["upsample2.upsample_conv.weight"] == (256, 64, 3, 3)
    assert "conv_first.weight" not in names


def test_bfloat16_stays_close(tiny):
    network, variables = tiny
    clip = _clip()
    variables = jax.tree.map(lambda x: 0.3 * x, variables)
    run = lambda n: jax.jit(lambda x: n.apply(variables, x))(clip)  # noqa: E731
    half = run(network.clone(dtype="bfloat16"))
    assert half.dtype == jnp.float32
    assert 0 < float(jnp.abs(half - run(network)).max()) < 0.02


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"frames": 4}, "EDVR: frames=4 must be odd"),
        ({"upscale": 2}, "upscale=2 does not exist; known: 1, 4"),
        ({"upscale": 4, "strided": True}, "needs upscale=1"),
    ],
)
def test_fields_are_checked(fields, message):
    with pytest.raises(UserError, match=message):
        models.build("edvr", **fields)


def test_features_made_once_a_frame_are_those_of_every_window():
    """A clip extracts features once a frame; a window of one's own extracts its frames'."""
    network = models.build("edvr", **TINY, strided=True)
    variables, clip = random_variables(network), _clip(2, 16, 32)
    whole = jax.jit(network.apply)(variables, clip)
    windows = jnp.stack([clip[0, [0, 0, 1]], clip[0, [0, 1, 1]]])
    found = jax.jit(lambda x: network.apply(variables, x, method="enhance"))(windows)
    np.testing.assert_allclose(whole[0], found["picture"], atol=1e-5)
    assert float(jnp.abs(whole - clip).max()) > 0.05
