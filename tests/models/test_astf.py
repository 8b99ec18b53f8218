import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.inference.bidirectional import exact
from vqe_jax.models.shapes import initial_variables, parameter_count, variable_shapes

SMALL = {"features": 4, "blocks": 1, "flow_levels": 2, "flow_widths": (4,), "unroll": 1}


def _network(**kwargs):
    return models.build("astf", **SMALL, **kwargs)


@pytest.fixture(scope="module")
def variables():
    rng = np.random.default_rng(0)
    tree = jax.eval_shape(lambda k: initial_variables(_network(), k), jax.random.key(0))
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(0, 0.1, x.shape), jnp.float32), tree)


def _clip(t=4, h=64, w=68):
    """Noise whose strength grows from left to right and from frame to frame."""
    rng = np.random.default_rng(1)
    strength = np.linspace(0.02, 0.4, w)[:, None] * np.linspace(0.5, 1, t)[:, None, None, None]
    return jnp.asarray(0.5 + strength * (rng.random((1, t, h, w, 3)) - 0.5), jnp.float32)


def _run(network, variables, clip, **kwargs):
    return jax.jit(lambda v, x: network.apply(v, x, **kwargs))(variables, clip)


@pytest.fixture(scope="module")
def steps(variables):
    return _run(_network(), variables, _clip(), outputs=True)


def test_three_networks_of_the_published_size():
    assert parameter_count("astf") == 3 * 5_995_887


def _agree(found, expected, output):
    """The first stage's rounding to 8 bits may fall the other way in a few pixels behind it."""
    apart = np.abs(np.asarray(found) - np.asarray(expected))
    few, far = (0, 3e-5) if output == "stage1" else (0.01, 0.05)
    assert apart.max() < far and np.mean(apart > 3e-5) <= few


@pytest.mark.parametrize("output", ["stage1", "enhance2", "fuse_sharp"])
def test_outputs_are_the_steps_and_sweeps_are_equal(variables, steps, output):
    network = _network(output=output)
    clip = _clip()
    whole = _run(network, variables, clip)
    expected = steps[output]
    _agree(whole, expected, output)
    swept = np.stack(list(exact(network, variables, None, iter(np.asarray(clip[0])))))
    _agree(swept, whole[0], output)


def test_all_at_once_in_training_agrees(variables, steps):
    out = _run(_network(output="fuse"), variables, _clip(), train=True)
    # The first stage's rounding may fall the other way in a few pixels.
    assert float(jnp.median(jnp.abs(out - steps["fuse"]))) < 1e-5


def test_training_can_take_the_first_stage_as_given(variables, steps):
    given = _network(output="fuse", trains_on="stage1")
    first = np.round(np.clip(steps["stage1"], 0, 1) * 255) / 255
    out = _run(given, variables, first, train=True, outputs=True)
    np.testing.assert_allclose(out["enhance2"], steps["enhance2"], rtol=0, atol=3e-5)
    # What is trained changes nothing in use.
    np.testing.assert_allclose(_run(given, variables, _clip()), steps["fuse"], rtol=0, atol=3e-5)


def test_mask_is_the_definition(steps):
    first = np.round(np.clip(np.asarray(steps["stage1"][0], np.float64), 0, 1) * 255) / 255
    luma = first @ np.array([0.299, 0.587, 0.114])
    variance = np.zeros(luma.shape)
    for t, i, j in np.ndindex(*luma.shape):
        variance[t, i, j] = luma[t, max(i - 11, 0) : i + 12, max(j - 11, 0) : j + 12].var()
    for t in range(len(luma)):
        volume = variance[[max(t - 1, 0), t, min(t + 1, len(luma) - 1)]]
        expected = (variance[t] - volume.min()) / (volume.max() - volume.min())
        np.testing.assert_allclose(steps["mask"][0, t, :, :, 0], expected, rtol=0, atol=1e-4)


def test_textures_come_from_enhance1_and_the_choice_of_side_swaps_them(variables, steps):
    mask = steps["mask"]
    one, two = steps["enhance1"], steps["enhance2"]
    np.testing.assert_allclose(steps["fuse"], mask * one + (1 - mask) * two, rtol=0, atol=1e-6)
    swapped = _run(_network(mask_on="enhance2"), variables, _clip(), outputs=True)["fuse"]
    np.testing.assert_allclose(swapped, (1 - mask) * one + mask * two, rtol=0, atol=1e-5)


def test_flat_volume_gives_the_guard(variables):
    flat = jnp.full((1, 2, 64, 64, 3), -9.0)  # the first stage's result is clipped to black
    for guard in (0.0, 1.0):
        mask = _run(_network(flat_mask=guard), variables, flat, outputs=True)["mask"]
        np.testing.assert_array_equal(mask, np.full(mask.shape, guard, "f"))


def test_no_gradient_reaches_the_first_stage_from_the_second(variables):
    network = _network(output="enhance1")
    clip = _clip(t=2)
    loss = lambda v: jnp.mean(network.apply(v, clip, train=True) ** 2)  # noqa: E731
    gradient = jax.jit(jax.grad(loss))(variables)["params"]
    norm = {
        k: sum(float(jnp.sum(jnp.abs(x))) for x in jax.tree.leaves(gradient[k])) for k in gradient
    }
    assert norm["stage1"] == norm["enhance2"] == 0 < norm["enhance1"]


def test_one_frame_and_small_frames(variables):
    out = _run(_network(), variables, _clip(t=1)[:, :, :40, :50])
    assert out.shape == (1, 1, 40, 50, 3)
    assert np.isfinite(out).all()


def test_mistakes_in_fields():
    mistakes = {
        "did you mean 'fuse'": {"output": "fused"},
        "nothing to learn": {"output": "stage1", "trains_on": "stage1"},
        "trains_on='stage2' does not exist": {"trains_on": "stage2"},
    }
    for message, kwargs in mistakes.items():
        with pytest.raises(UserError, match=message):
            variable_shapes("astf", **SMALL, **kwargs)
