"""Networks against their official code: a row each.

A row names the network, the fields of its golden file and how to feed it; the list of official
names and shapes and the parameter count are those of the published size.
"""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.golden import load
from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import parameter_count
from vqe_jax.weights.conversion import table_of


def image(golden):
    """A batch of single frames, ``[b, c, h, w]``, as windows."""
    return np.moveaxis(golden.data["in/x"], 1, -1)[:, None]


def five_images(golden):
    """The current frame beside its neighbors in the order of time."""
    frames = [golden.data[f"in/{key}"] for key in ("n0", "n1", "x", "n2", "n3")]
    return np.moveaxis(np.stack(frames, axis=1), 2, -1)


def stack(golden):
    """A batch of windows, ``[b, t, c, h, w]``."""
    return np.moveaxis(golden.data["in/x"], 2, -1)


def colors_first(golden):
    """A batch of windows, ``[b, c, t, h, w]``."""
    return np.moveaxis(golden.data["in/x"], 1, -1)


def luma_stack(golden):
    """A batch of windows of gray frames, ``[b, t, h, w]``."""
    return golden.data["in/x"][..., None]


@dataclasses.dataclass(frozen=True)
class Row:
    """How a golden file and a list of keys are reached."""

    network: str
    golden: str  # file of golden/
    fields: dict[str, Any]  # the golden file's
    count: int  # parameters at the published size
    keys: str  # file of reference/keys/
    size: dict[str, Any] = dataclasses.field(default_factory=dict)  # fields of the published size
    windows: Callable[[Any], Any] = stack  # [b, k, h, w, c] from the golden file
    outputs: dict[str, str] = dataclasses.field(default_factory=lambda: {"picture": "y"})
    range: float = 1.0  # of the pixels there

    def __str__(self):
        return self.golden


_EDVR_QE = {"frames": 3, "extraction_blocks": 2, "tsa": False}
ROWS = [
    Row(
        "dncnn",
        "powerqe_dncnn_bn",
        {"features": 32, "depth": 5, "bn": True},
        558_403,
        "powerqe_dncnn_bn",
        {"bn": True},
        image,
    ),
    Row(
        "dcad",
        "powerqe_dcad",
        {"features": 32, "depth": 4},
        298_947,
        "powerqe_dcad",
        windows=image,
    ),
    Row(
        "cvqenet",
        "cvqenet_c16_2_3",
        {"features": 16, "front_blocks": 2, "back_blocks": 3},
        18_440_034,
        "cvqenet_VQEO_c64_10_20_released",
        windows=colors_first,
    ),
    Row(
        "cvqenet",
        "cvqenet_spatialgate_variant_c8_1_2",
        {"features": 8, "front_blocks": 1, "back_blocks": 2, "spatial_gate": True},
        18_459_732,
        "cvqenet_VQE_spatialgate_variant_c64_10_20",
        {"spatial_gate": True},
        colors_first,
    ),
    Row(
        "duve",
        "duve_c8_2_1",
        {"features": 8, "blocks1": 2, "blocks2": 1, "reduction": 4},
        219_659_435,
        "duve_c64_6_10",
        windows=colors_first,
    ),
    Row(
        "shannonnet",
        "shannonnet_c16",
        {
            "features": 16,
            "unet_features": 8,
            "orsnet_features": 16,
            "alignment_widths": (16, 16, 32, 64, 64),
        },
        22_499_748,
        "shannonnet_default",
        outputs={"picture": "stage3", "stage2": "stage2", "stage1": "stage1"},
    ),
    Row("arcnn", "powerqe_arcnn", {}, 117_731, "powerqe_arcnn", windows=image),
    Row(
        "edvr",
        "edvr_c16_tsa_bigoffset",
        {"features": 16, "extraction_blocks": 2, "reconstruction_blocks": 2, "upscale": 4},
        3_300_131,
        "edvr_M_mmedit_c64_5_10_tsa",
        {"upscale": 4},
    ),
    Row(
        "edvr",
        "powerqe_edvrQE_c16",
        {**_EDVR_QE, "features": 16, "reconstruction_blocks": 1},
        651_971,
        "powerqe_edvrQE_c32_f3_g8_2_5_wotsa",
        {**_EDVR_QE, "features": 32, "reconstruction_blocks": 5},
    ),
    Row(
        "pen",
        "pen_edvr_c16",
        {
            "edvr": {"features": 16, "extraction_blocks": 2, "reconstruction_blocks": 2},
            "residual": "released",
        },
        2_212_369,
        "pen_stdf_edvr_released_cfg",
    ),
    Row(
        "qenet",
        "qenet_nju_c16_T7",
        {"features": 16, "extraction_blocks": 2, "reconstruction_blocks": 2},
        15_342_811,
        "qenet_nju_default_c128",
    ),
    Row("brnet", "brnet_random_33x46", {"features": 64}, 641_700, "brnet", windows=image),
    Row("mfqe", "powerqe_mfqev2_nf16", {"features": 16}, 1_640_948, "powerqe_mfqev2"),
    Row(
        "rcan_a",
        "rcan_a_c16_2x2",
        {"features": 16, "groups": 2, "blocks": 2},
        6_179_971,
        "rcan_a_c64_5x16",
        windows=image,
        range=255.0,
    ),
    Row(
        "rcvn",
        "rcvn_c16_1x2",
        {"features": 16, "groups": 1, "blocks": 2},
        13_055_366,
        "rcvn_b_c64_5x16",
        windows=five_images,
        range=255.0,
    ),
    Row(
        "stdr",
        "stdr_r1_nf16_t4",
        {
            "radius": 1,
            "unet_features": 16,
            "fused": 16,
            "features": 16,
            "growth": 8,
            "layers": 3,
            "blocks": 2,
        },
        1_339_784,
        "stdr",
        windows=luma_stack,
    ),
    Row(
        "cfstif",
        "cfstif_r1_m16_t4",
        {"radius": 1, "features": 16, "volume_features": 8, "fused": 16, "qe_features": 16},
        2_219_550,
        "cfstif",
        windows=luma_stack,
    ),
]


def official_keys(shared, name):
    """Names and shapes of ``reference/keys``, without counters that nothing reads."""
    lines = (shared / f"reference/keys/{name}.txt").read_text().splitlines()
    pairs = (line.split("\t") for line in lines if not line.startswith("#"))
    found = {key: tuple(int(n) for n in re.findall(r"\d+", shape)) for key, shape in pairs}
    return {k: s for k, s in found.items() if not k.endswith("num_batches_tracked")}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_golden_values(shared, row):
    golden = load(shared, row.golden)
    network = models.build(row.network, **row.fields)
    variables = golden.variables(row.network, **row.fields)
    windows = jnp.asarray(row.windows(golden))[:, None] / row.range
    run = jax.jit(lambda v, x: network.apply(v, x, method="on_windows", outputs=True))
    found = run(variables, windows)
    for ours, theirs in row.outputs.items():
        golden.check(np.moveaxis(found[ours][:, 0], -1, 1) * row.range, theirs)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_official_names_go_both_ways(shared, row):
    tensors = load(shared, row.golden).state_dict
    back = weights.to_torch(
        row.network, weights.from_torch(row.network, tensors, **row.fields), **row.fields
    )
    dead = {k for k in tensors if k not in back}
    assert all(k.endswith(("num_batches_tracked", "spynet.mean", "spynet.std")) for k in dead), dead
    for key, value in back.items():
        np.testing.assert_array_equal(tensors[key], value)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_official_names_and_shapes_of_the_published_size(shared, row):
    table = table_of(row.network, **row.size).values()
    expected = official_keys(shared, row.keys)
    found = {name: tensor.shape for tensor in table for name in tensor.names}
    buffers = {k for k in expected if k.endswith(("spynet.mean", "spynet.std"))}
    assert found == {k: s for k, s in expected.items() if k not in buffers}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_published_parameter_counts(row):
    assert parameter_count(row.network, **row.size) == row.count


@pytest.mark.parametrize("row", [r for r in ROWS if "features" in r.fields], ids=str)
def test_a_checkpoint_of_another_width_is_refused_by_tensor(shared, row):
    golden = load(shared, row.golden)
    wider = row.fields | {"features": 2 * row.fields["features"]}
    with pytest.raises(UserError, match=rf"{row.network}: tensor '[\w.]+' has shape .*expected \("):
        golden.variables(row.network, **wider)
