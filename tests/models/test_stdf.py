"""STDF against the official code: values, gradients, training steps, names; windows and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.models.golden import load
from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.losses import build as build_loss
from vqe_jax.models.shapes import initial_variables, parameter_count

TINY = {
    "radius": 1,
    "features": 4,
    "depth": 2,
    "fused_features": 6,
    "qe_features": 4,
    "qe_depth": 3,
}
TRAINED = {"radius": 1, "features": 16, "qe_features": 16, "qe_depth": 4}


def _clip(frames, height=8, width=12, channels=1, seed=0):
    return jax.random.uniform(jax.random.key(seed), (1, frames, height, width, channels))


def _tiny(**kwargs):
    network = models.build("stdf", **TINY | kwargs)
    return network, initial_variables(network, jax.random.key(1))


@pytest.mark.parametrize(
    "count,fields",
    [
        (329_842, {"radius": 1}),
        (364_510, {}),
        (1_274_622, {"features": 64, "qe_features": 64, "qe_depth": 16}),
    ],
)
def test_published_parameter_counts(count, fields):
    assert parameter_count("stdf", **fields) == count


@pytest.mark.parametrize("radius", [1, 3])
def test_golden_values_with_offsets_of_several_pixels(shared, radius):
    golden = load(shared, f"stdf_r{radius}_bigoffset")
    network = models.build("stdf", radius=radius)
    variables = golden.variables("stdf", radius=radius)
    frame = jax.jit(lambda c: network.apply(variables, c, method="inner"))(golden.clip("in/x"))
    golden.check(np.moveaxis(frame[:, 0], -1, 1), "y")


def _trained(shared):
    golden = load(shared, "train_stdf_r1_nf16")
    network = models.build("stdf", **TRAINED)
    charbonnier = build_loss("charbonnier", eps=1e-6)

    def loss(variables):
        frames = network.apply(variables, golden.clip("in/x"), method="inner")
        return charbonnier(frames, jnp.asarray(golden.data["in/gt"])[..., None])

    return golden, golden.variables("stdf", **TRAINED), loss


def test_golden_gradients_and_training_steps(shared):
    golden, variables, loss = _trained(shared)
    optimizer = optax.adam(1e-4)
    state = optimizer.init(variables)

    @jax.jit
    def step(variables, state):
        value, gradient = jax.value_and_grad(loss)(variables)
        with jax.numpy_dtype_promotion("standard"):  # optax counts its steps in integers
            updates, state = optimizer.update(gradient, state)
        return value, gradient, optax.apply_updates(variables, updates), state

    values = []
    for i in range(6):
        value, gradient, variables, state = step(variables, state)
        values.append(value)
        if i == 0:
            golden.check(value, "loss")
            for key, got in weights.to_torch("stdf", gradient, **TRAINED).items():
                golden.check(got, f"grad/{key}")
    golden.check(np.stack(values), "loss_after_k_adam_steps")


def test_names_and_layouts_go_round(shared):
    golden = load(shared, "stdf_r3_bigoffset")
    wrapped = {"state_dict": {f"module.{k}": v for k, v in golden.state_dict.items()}}
    back = weights.to_torch("stdf", weights.from_torch("stdf", wrapped))
    assert set(back) == set(golden.state_dict)
    for key, value in golden.state_dict.items():
        np.testing.assert_array_equal(back[key], value)


@pytest.mark.parametrize(
    "fields,message",
    [
        ({}, r"ffnet\.\w+.*\(32, 3, 3, 3\).*\(3, 3, 7, 32\)"),
        ({"radius": 1, "features": 16}, r"ffnet\.\w+.*\(32,.*\(.*16\)"),
    ],
)
def test_a_checkpoint_of_another_radius_or_width_is_refused(shared, fields, message):
    golden = load(shared, "stdf_r1_bigoffset")
    with pytest.raises(UserError, match=message):
        weights.from_torch("stdf", golden.state_dict, **fields)


@pytest.mark.parametrize("channels", [1, 3])
def test_all_windows_at_once_equal_one_after_the_other(channels):
    network, variables = _tiny(channels=channels)
    clip = _clip(4, channels=channels)
    whole = jax.jit(network.apply)(variables, clip)
    inner = jax.jit(lambda c: network.apply(variables, c, method="inner"))
    for i in range(4):
        window = jnp.stack([clip[:, min(max(j, 0), 3)] for j in (i - 1, i, i + 1)], axis=1)
        np.testing.assert_allclose(inner(window)[:, 0], whole[:, i], atol=1e-6)
    np.testing.assert_allclose(inner(clip), whole[:, 1:3], atol=1e-6)


def test_the_residual_goes_to_the_current_frame():
    network, variables = _tiny()
    variables = jax.tree.map(jnp.zeros_like, variables)
    clip = _clip(3)
    np.testing.assert_array_equal(jax.jit(network.apply)(variables, clip), clip)


def test_odd_sizes_are_padded_by_replication_and_cropped():
    network, variables = _tiny()
    clip = _clip(2, 7, 10)
    padded = jnp.pad(clip, ((0, 0), (0, 0), (0, 1), (0, 2), (0, 0)), mode="edge")
    apply = jax.jit(network.apply)
    np.testing.assert_allclose(
        apply(variables, clip), apply(variables, padded)[:, :, :7, :10], atol=1e-6
    )


def test_a_clip_shorter_than_the_window():
    network, variables = _tiny()
    with pytest.raises(
        UserError, match="2 frames is shorter than the window of STDF; at least 3 frames"
    ):
        network.apply(variables, _clip(2), method="inner")
    assert jax.eval_shape(network.apply, variables, _clip(1)).shape == (1, 1, 8, 12, 1)


def test_bfloat16_stays_close_and_parameters_float32():
    network, variables = _tiny()
    half = models.build("stdf", **TINY, dtype="bfloat16")
    clip = _clip(3)
    change = jax.jit(network.apply)(variables, clip) - clip
    out = jax.jit(half.apply)(variables, clip)
    assert out.dtype == jnp.float32  # the frame is added to in float32
    np.testing.assert_allclose(out - clip, change, atol=0.03 * float(jnp.abs(change).max()))
    assert {x.dtype for x in jax.tree.leaves(initial_variables(half, jax.random.key(1)))} == {
        jnp.dtype("float32")
    }
