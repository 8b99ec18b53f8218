"""VIG: published totals, two forms of one function, streaming, gradients, odd sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.cost import multiply_adds, multiply_adds_per_frame
from vqe_jax.models.shapes import initial_variables, parameter_count
from vqe_jax.training import inits
from vqe_jax.training.stages import Init

FORMS = {"factored": "vig", "direct": "tests.models.vig_direct:DirectVIG"}
NARROW = {"width": 4, "down_widths": (8, 12, 12)}
SHAPES = [
    {},
    {"order": "conv_first"},
    {"scale": 1},
    {"refine": True, "skip": "none"},
    {"temporal_kernels": (2, 2, 3)},
    {"temporal_kernels": (2, 3, 2), "state_bound": 0.1},
    {"lookahead": 1, "temporal_kernels": (2, 1, 2)},
    {"lookahead": 0, "temporal_kernels": (1, 2, 1)},
    {"recurrent": False, "temporal_kernels": (2, 2, 2)},
    {"recurrent": False, "lookahead": 0, "temporal_kernels": (1, 1, 1)},
]


def _clip(seed=2, shape=(2, 5, 12, 16, 1)):
    return jax.random.uniform(jax.random.key(seed), shape)


def _stream(network, variables, clip):
    ahead = network.context.future
    held = jnp.concatenate([clip, *[clip[:, -1:]] * ahead], axis=1)
    step = jax.jit(lambda s, w: network.apply(variables, s, w, method="step"))
    state, frames = None, []
    for i in range(clip.shape[1]):
        state, frame = step(state, held[:, i : i + ahead + 1])
        frames.append(frame)
    return jnp.stack(frames, axis=1)


def test_the_default_has_the_published_size():
    assert parameter_count("vig") == 434_185
    assert abs(4 * parameter_count("vig") / 1.74e6 - 1) < 0.01


def test_the_direct_form_has_the_published_operations():
    macs = multiply_adds_per_frame(FORMS["direct"], height=480, width=832)
    assert macs == 140_832 * 480 * 832
    assert round(macs / 1e9, 2) == 56.24
    assert abs(macs / 56.9e9 - 1) < 0.012


def test_the_factored_form_saves_two_fifths_of_a_clip():
    def clip_macs(form):
        network = models.build(FORMS[form])
        variables = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))
        clip = jax.ShapeDtypeStruct((1, 13, 128, 128, 1), jnp.float32)
        return multiply_adds(network.apply, variables, clip) / (13 * 128 * 128)

    assert clip_macs("direct") == pytest.approx(140_832 - 3 * 288)  # each frame enters `pre` once
    assert clip_macs("factored") < 0.6 * clip_macs("direct")


@pytest.mark.parametrize("fields", SHAPES, ids=str)
def test_factored_direct_and_stream_agree(fields):
    network = models.build("vig", **NARROW | fields)
    variables = initial_variables(network, jax.random.key(1))
    clip = _clip()
    whole = jax.jit(network.apply)(variables, clip)
    direct = jax.jit(models.build(FORMS["direct"], **NARROW | fields).apply)(variables, clip)
    assert float(jnp.abs(whole - clip).max()) > 1e-3
    np.testing.assert_allclose(whole, direct, atol=1e-5)
    if network.context.recurrence == "forward":
        np.testing.assert_allclose(_stream(network, variables, clip), whole, atol=1e-5)


@pytest.mark.parametrize("fields", [{}, {"order": "conv_first"}], ids=str)
def test_the_factored_form_is_as_near_float64_as_the_direct_one(fields):
    networks = {form: models.build(name, **NARROW | fields) for form, name in FORMS.items()}
    inputs = initial_variables(networks["factored"], jax.random.key(1)), _clip()
    found = {form: jax.jit(network.apply)(*inputs) for form, network in networks.items()}
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: x.astype(jnp.float64), inputs)
        exact = np.asarray(networks["direct"].apply(*wide))
    assert exact.dtype == np.float64
    errors = {form: np.abs(np.float64(result) - exact).max() for form, result in found.items()}
    assert 0 < errors["factored"] < max(1e-6, 2 * errors["direct"])


def test_the_direct_form_streams_too():
    network = models.build(FORMS["direct"], **NARROW)
    variables = initial_variables(network, jax.random.key(1))
    np.testing.assert_allclose(
        _stream(network, variables, _clip()), network.apply(variables, _clip()), atol=1e-5
    )


@pytest.mark.parametrize("form", ["factored", "direct"])
def test_a_gradient_reaches_every_parameter(form):
    network = models.build(FORMS[form], **NARROW)
    variables = initial_variables(network, jax.random.key(1))
    loss = jax.jit(lambda v: jnp.square(network.apply(v, _clip()) - 0.5).mean())
    for path, grad in jax.tree_util.tree_leaves_with_path(jax.grad(loss)(variables)):
        magnitude = jnp.abs(grad).max(axis=tuple(range(1, grad.ndim)))
        assert bool((magnitude > 0).all()), path  # each temporal tap of a 3-D kernel on its own


def test_odd_sizes_are_padded_and_cropped():
    network = models.build("vig", **NARROW)
    variables = initial_variables(network, jax.random.key(1))
    clip = _clip(shape=(1, 2, 9, 14, 1))
    run = jax.jit(network.apply)
    padded = jnp.pad(clip, [(0, 0), (0, 0), (0, 3), (0, 2), (0, 0)], mode="edge")
    expected = run(variables, padded)[..., :9, :14, :]
    np.testing.assert_allclose(run(variables, clip), expected, atol=1e-6)


def test_the_receptive_field_is_as_stated():
    for fields in ({}, {"refine": True}, {"order": "conv_first"}, {"scale": 1}):
        network = models.build("vig", **NARROW | fields)
        variables = initial_variables(network, jax.random.key(1))
        clip, middle = _clip(shape=(1, 1, 96, 96, 1)), 48

        def seen(clip, network=network, variables=variables, middle=middle):
            return network.apply(variables, clip)[0, 0, middle, middle, 0]

        rows, columns = np.nonzero(np.asarray(jax.jit(jax.grad(seen))(clip))[0, 0, :, :, 0])
        reach = max(abs(rows - middle).max(), abs(columns - middle).max())
        field = network.context.receptive_field
        assert reach <= field <= 1.5 * reach


@pytest.mark.parametrize(("bound", "grows"), [(None, True), (1.0, False)], ids=["free", "bounded"])
def test_only_an_unbounded_state_runs_away(bound, grows):
    network = models.build("vig", **NARROW, state_bound=bound)
    params = initial_variables(network, jax.random.key(1))["params"]
    kaiming = (Init("kernel$", "kaiming"), Init("^pre/kernel", "high_pass", {"blind": True}))
    params = inits.redraw(params, kaiming, {}, jax.random.key(2))
    variables = {"params": jax.tree.map(lambda x: 3 * x, params)}  # which makes it explode
    clip = _clip(shape=(1, 24, 8, 8, 1))
    out = np.abs(jax.jit(network.apply)(variables, clip)).max(axis=(0, 2, 3, 4))
    if grows:
        assert not out[-1] < 10 * out[1]  # or it is no number any more
    else:
        assert np.isfinite(out).all() and out[-1] < 10 * out[1]


def test_bfloat16_stays_close():
    network = models.build("vig", **NARROW)
    variables = initial_variables(network, jax.random.key(1))
    out = jax.jit(models.build("vig", **NARROW, dtype="bfloat16").apply)(variables, _clip())
    assert out.dtype == jnp.float32  # the frame is added to in float32
    change = jax.jit(network.apply)(variables, _clip()) - _clip()
    np.testing.assert_allclose(out - _clip(), change, atol=0.03 * float(jnp.abs(change).max()))


def test_a_temporal_plan_that_does_not_fit_is_refused():
    network = models.build("vig", temporal_kernels=(3, 3, 3))
    with pytest.raises(UserError, match=r"temporal_kernels=\(3, 3, 3\) shorten 5 slices to -1"):
        initial_variables(network, jax.random.key(0))


def test_unknown_names_and_fields_are_refused():
    with pytest.raises(UserError, match="did you mean 'vig'"):
        models.build("vgi")
    with pytest.raises(UserError, match="has no field 'widht'; did you mean 'width'"):
        models.build("vig", widht=3)
