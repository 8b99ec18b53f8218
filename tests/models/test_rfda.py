"""RFDA against the official code; its parts one by one; recurrence, bounds and errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.golden import load
from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.losses import build as build_loss
from vqe_jax.models.shapes import initial_variables, parameter_count, variable_shapes
from vqe_jax.nn.frame_windows import clamped_neighbors

TINY = {
    "radius": 1,
    "features": 4,
    "depth": 2,
    "fused_features": 6,
    "qe_features": 4,
    "qe_depth": 3,
}
VARIANTS = [
    {},
    {"first_state": "identity", "last_relu": False, "attention": "none"},
    {"reset_every": 2, "attention": "none"},
    {"recursive_fusion": "conv_lstm", "attention": "none"},
]


def _clip(frames, height=16, width=20, seed=0):
    return jax.random.uniform(jax.random.key(seed), (1, frames, height, width, 1))


def _tiny(**kwargs):
    network = models.build("rfda", **TINY | kwargs)
    return network, initial_variables(network, jax.random.key(1))


def _stream(network, variables, clip, frames=None):
    step = jax.jit(lambda s, w: network.apply(variables, s, w, method="step"))
    state, results = None, []
    for index in clamped_neighbors(clip.shape[1], network.radius)[:frames]:
        state, frame = step(state, clip[:, index])
        results.append(frame)
    return jnp.stack(results, axis=1), state


@pytest.mark.parametrize(
    "count,fields",
    [
        (1_270_430, {}),
        (782_270, {"attention": "none"}),
        (364_510 + 6 * 81_360, {"recursive_fusion": "none"}),
        (364_510, {"recursive_fusion": "none", "attention": "none"}),
    ],
)
def test_parameter_counts_of_the_released_code(count, fields):
    assert parameter_count("rfda", **fields) == count


def _bptt(shared):
    golden = load(shared, "train_rfda_bptt_2frames")
    clip = golden.clip("in/clip")
    network = models.build("rfda")

    def frames(variables):
        state, results = None, []
        for i in range(2):
            state, y = network.apply(variables, state, clip[:, i : i + 7], method="step")
            results.append(y)
        return jnp.stack(results, axis=1)

    return golden, frames


def test_golden_values_with_offsets_of_several_pixels(shared):
    golden = load(shared, "rfda_2frames_bigoffset")
    clip, network = golden.clip("in/clip"), models.build("rfda")
    variables = golden.variables("rfda")
    step = jax.jit(lambda s, w: network.apply(variables, s, w, method="step"))
    state, first = step(None, clip[:, :7])
    state, second = step(state, clip[:, 1:])
    golden.check(np.moveaxis(np.stack([first, second], axis=1), -1, 2), "y")
    golden.check(np.moveaxis(state, -1, 1)[:, ::4], "hidden_last")


@pytest.mark.slow
def test_golden_gradients_through_time(shared):
    golden, frames = _bptt(shared)
    variables = golden.variables("rfda")
    target = jnp.asarray(golden.data["in/gt"])[..., None]
    charbonnier = build_loss("charbonnier", eps=1e-6, reduction="frame_sum")

    def loss(variables):
        y = frames(variables)
        return charbonnier(y, target), y

    (value, y), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables)
    golden.check(value, "loss")
    golden.check(y[..., 0], "y")
    got = weights.to_torch("rfda", gradient)
    listed = {k[len("out/grad/") :] for k in golden.data if k.startswith("out/grad/")}
    for key in listed:
        golden.check(got[key], f"grad/{key}")
    rest = [k for k in golden.state_dict if k not in listed]
    golden.check(np.stack([np.linalg.norm(got[k]) for k in rest]), "gradnorm_rest")


def test_names_and_layouts_go_round(shared):
    golden = load(shared, "rfda_2frames_bigoffset")
    back = weights.to_torch("rfda", golden.variables("rfda"))
    assert set(back) == set(golden.state_dict)
    for key, value in golden.state_dict.items():
        np.testing.assert_array_equal(back[key], value)


def test_without_recursion_and_attention_it_is_stdf():
    fields = {"radius": 4, "features": 4, "depth": 2, "qe_features": 4, "qe_depth": 3}
    plain = models.build("rfda", recursive_fusion="none", attention="none", **fields)
    variables = initial_variables(plain, jax.random.key(1))
    assert plain.context == models.build("stdf", **fields).context
    np.testing.assert_array_equal(
        jax.jit(plain.apply)(variables, _clip(3)),
        jax.jit(models.build("stdf", **fields).apply)(variables, _clip(3)),
    )


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_stream_and_clip_agree(fields):
    network, variables = _tiny(**fields)
    clip = _clip(3, 15, 18)
    whole = jax.jit(network.apply)(variables, clip)
    streamed, _ = _stream(network, variables, clip)
    np.testing.assert_allclose(streamed, whole, atol=2e-6)


def test_the_past_matters_and_is_forgotten_when_asked():
    clip = _clip(4)
    other = clip.at[:, 0].add(0.5)
    moved = {}
    for reset_every in (None, 2):
        network, variables = _tiny(attention="none", beta=1.0, reset_every=reset_every)
        apply = jax.jit(network.apply)
        change = jnp.abs(apply(variables, clip) - apply(variables, other)).max((0, 2, 3, 4))
        moved[reset_every] = np.asarray(change)
    assert moved[None][3] > 1e-6  # three frames on, beyond the window
    assert moved[2][3] == 0.0


def test_the_first_frame_without_a_past():
    clip, zeroed = _clip(1), {}
    for first_state in ("zeros", "identity"):
        network, variables = _tiny(attention="none", first_state=first_state, beta=1.0)
        plain = jax.tree.map(jnp.zeros_like, variables["params"]["recursion"])
        without = {"params": variables["params"] | {"recursion": plain}}
        apply = jax.jit(network.apply)
        zeroed[first_state] = np.abs(apply(variables, clip) - apply(without, clip)).max()
    assert zeroed["identity"] == 0
    assert zeroed["zeros"] > 0


@pytest.mark.parametrize("attention,parts", [("no_deformable", "mask2"), ("no_channel", "excite")])
def test_attention_without_a_part_lacks_its_parameters(attention, parts):
    names = variable_shapes("rfda", **TINY, attention=attention)
    full = variable_shapes("rfda", **TINY)
    assert any(parts in name for name in full)
    assert not any(parts in name for name in names)
    network, variables = _tiny(attention=attention)
    assert np.isfinite(jax.jit(network.apply)(variables, _clip(2))).all()


@pytest.mark.slow
def test_the_state_stays_bounded_over_2000_frames():
    network, variables = _tiny(attention="none")
    window = _clip(3)

    @jax.jit
    def run(state, key):
        noisy = window + 0.05 * jax.random.normal(key, window.shape)
        state, frame = network.apply(variables, state, noisy, method="step")
        return state, (jnp.sqrt(jnp.mean(state**2)), jnp.sqrt(jnp.mean((frame - noisy[:, 1]) ** 2)))

    state, _ = jax.jit(lambda: network.apply(variables, None, window, method="step"))()
    _, (size, change) = jax.lax.scan(run, state, jax.random.split(jax.random.key(2), 2000))
    assert float(size.max()) < 10 * max(1.0, float(size[:32].max()))
    assert float(change.max()) < 1.0


@pytest.mark.parametrize(
    "fields,message",
    [
        (
            {"recursive_fusion": "lstm"},
            "recursive_fusion='lstm' does not exist; did you",
        ),
        ({"attention": "dst"}, "attention='dst' does not exist; did you mean 'dsta'"),
        ({"first_state": "one"}, "first_state='one' does not exist"),
        ({"reset_every": 0}, "reset_every=0 must be at least 1"),
        ({"qe_features": 6}, "qe_features=6 must be a multiple of 4"),
    ],
)
def test_unknown_settings(fields, message):
    with pytest.raises(UserError, match=message):
        network = models.build("rfda", **TINY | fields)
        jax.eval_shape(network.init, jax.random.key(0), _clip(2))


@pytest.mark.parametrize("recursive_fusion", ["rf", "conv_lstm"])
def test_bfloat16_stays_close_as_a_clip_and_as_a_stream(recursive_fusion):
    fields = {"attention": "dsta" if recursive_fusion == "rf" else "none"}
    network, variables = _tiny(recursive_fusion=recursive_fusion, **fields)
    half = network.clone(dtype="bfloat16")
    clip = _clip(3)
    change = jax.jit(network.apply)(variables, clip) - clip
    streamed, state = _stream(half, variables, clip)
    assert {x.dtype for x in jax.tree.leaves(state)} == {jnp.dtype("bfloat16")}
    for out in (jax.jit(half.apply)(variables, clip), streamed):
        assert out.dtype == jnp.float32  # the frame is added to in float32
        np.testing.assert_allclose(out - clip, change, atol=0.03 * float(jnp.abs(change).max()))


def test_a_convolutional_lstm_has_no_official_names():
    with pytest.raises(UserError, match="never released"):
        weights.from_torch("rfda", {}, recursive_fusion="conv_lstm")
