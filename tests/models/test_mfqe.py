"""MFQE's frames of peak quality, its motion compensation, and the baseline's parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import losses, models, weights
from vqe_jax.errors import UserError
from vqe_jax.models import Side
from vqe_jax.models.shapes import initial_variables, parameter_count, tree_paths
from vqe_jax.nn.pyramid_flow import double_from_corner
from vqe_jax.ops.warp import flow_warp

NARROW = {"features": 2, "flow_widths": (3,), "reach": 3}
BASELINE = {"flow": "pyramid", "net": "pairs"}


def _clip(t=4, h=16, w=32, c=1, seed=0):
    return jax.random.uniform(jax.random.key(seed), (1, t, h, w, c))


def _aligned(peaks, clip, **fields):
    network = models.build("mfqe", **NARROW, channels=1, **fields)
    variables = initial_variables(network, jax.random.key(1))
    told = Side(peak=jnp.asarray([peaks]))
    run = jax.jit(lambda v: network.apply(v, clip, side=told, outputs=True)["aligned"])
    return run(variables)


@pytest.mark.parametrize("fields", [{}, BASELINE], ids=["powerqe", "baseline"])
def test_references_are_the_nearest_peaks_or_the_frame_itself(fields):
    """Flow is zero before training, so that aligned frames are the references themselves."""
    clip = _clip()
    found = _aligned([False, True, False, False], clip, **fields)
    before = clip[0, jnp.array([0, 1, 1, 1])]
    after = clip[0, jnp.array([1, 1, 2, 3])]
    np.testing.assert_allclose(found[0], jnp.stack([before, after], axis=1), atol=1e-6)


def test_no_peaks_are_an_error_that_says_how_to_give_them():
    network = models.build("mfqe", **NARROW)
    with pytest.raises(UserError, match=r"MFQE needs peak .*--peaks"):
        jax.eval_shape(lambda k: network.init(k, _clip(c=3)), jax.random.key(0))


def test_flow_doubles_its_size_as_tensorflow_1_does():
    x = np.random.default_rng(0).random((1, 3, 4, 2)).astype(np.float32)
    rows, columns = np.arange(6) / 2, np.arange(8) / 2  # the old pixel is the scale times the new
    y0, x0 = rows.astype(int), columns.astype(int)
    y1, x1 = np.minimum(y0 + 1, 2), np.minimum(x0 + 1, 3)
    fy, fx = (rows - y0)[:, None, None], (columns - x0)[None, :, None]
    top = x[0][y0][:, x0] * (1 - fx) + x[0][y0][:, x1] * fx
    bottom = x[0][y1][:, x0] * (1 - fx) + x[0][y1][:, x1] * fx
    np.testing.assert_allclose(
        double_from_corner(jnp.asarray(x))[0], top * (1 - fy) + bottom * fy, atol=1e-6
    )


def test_the_baseline_has_its_layers_and_no_names():
    flow = 49 * (8 * 32 + 32 * 64 + 64 * 32 + 32 * 16 + 16 * 2) + 32 + 64 + 32 + 16 + 2
    slopes = 3 * 128 + 2 * (64 + 64) + 32
    biases = 3 * 128 + 2 * (64 + 64) + 32 + 3
    kernels = 3 * 81 * 3 * 128 + 2 * (49 * 256 * 64 + 9 * 64 * 64) + 128 * 32 + 25 * 32 * 3
    assert parameter_count("mfqe", **BASELINE) == 10 * flow + kernels + biases + slopes
    with pytest.raises(UserError, match="no PyTorch names"):
        weights.from_torch("mfqe", {}, **BASELINE)


def test_the_motion_loss_trains_the_flow_of_both_directions():
    network = models.build("mfqe", **NARROW, channels=1, **BASELINE)
    variables = initial_variables(network, jax.random.key(1))
    smooth = jnp.sin(jnp.arange(32) / 3)[None, None, None, :, None]
    clip = 0.5 + 0.2 * jnp.concatenate([smooth, jnp.roll(smooth, 1, axis=3)] * 2, axis=1)
    clip = jnp.tile(clip, (1, 1, 16, 1, 1))
    side = Side(peak=jnp.asarray([[True, False, False, True]]))
    loss = losses.build("motion_compensation")

    @jax.jit
    @jax.value_and_grad
    def value(params):
        out = network.apply({"params": params}, clip, side=side, outputs=True)
        return loss(out["aligned"], clip)

    at_first, gradient = value(variables["params"])
    moved = {p.split("/")[0] for p, g in tree_paths(gradient).items() if jnp.abs(g).max() > 0}
    assert moved == {"flow_before", "flow_after"}
    lower = jax.tree.map(lambda p, g: p - 20 * g, variables["params"], gradient)
    assert value(lower)[0] < at_first


def test_flow_points_from_the_frame_to_its_peak():
    """The direction in which alignment samples, without a network."""
    clip = _clip(1, 16, 16)[0]
    shifted = jnp.roll(clip, 2, axis=2)  # content moves right, so it is found two pixels further
    flow = jnp.broadcast_to(jnp.array([2.0, 0.0]), (1, 16, 16, 2))
    np.testing.assert_allclose(
        flow_warp(shifted, flow, padding="border")[:, :, :13], clip[:, :, :13], atol=1e-6
    )
