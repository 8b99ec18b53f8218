"""MGBP-3D: its recursion, its averages over patches, its noise, its game, its size."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.random_variables import random_variables
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.inference import enhance_frames
from vqe_jax.models.mgbp3d import MultiGrid, content_noise
from vqe_jax.models.shapes import initial_variables, parameter_count, variable_shapes
from vqe_jax.nn.spacetime import SpaceTimeConv, SpaceTimeConvTranspose
from vqe_jax.training import adversarial, recipes, step

TINY = {"frames": 3, "widths": (4, 6), "remat": False}
WIDTHS = (16, 24, 32, 48, 64)


def _clip(frames=5, height=8, width=10):
    return jax.random.uniform(jax.random.key(0), (1, frames, height, width, 3))


@pytest.fixture(scope="module")
def noisy():
    network = models.build("mgbp3d", **TINY, noise=True)
    return network, random_variables(network)


@pytest.mark.parametrize(("cycle", "total"), [("w", 4_915_123), ("v", 880_963)])
def test_parameter_counts(cycle, total):
    """Kernels of 3x3x3 down and 3x4x4 up; twice as often at each size below, or twice in all."""
    count = sum(81 * w + w for w in WIDTHS) + 27 * 16 * 3 + 3
    for level, (wide, narrow) in enumerate(itertools.pairwise(WIDTHS)):
        times = 2 ** (level + 1) if cycle == "w" else 2
        count += times * (27 * wide * narrow + narrow + 48 * narrow * wide + wide)
    assert parameter_count("mgbp3d", cycle=cycle) == count == total
    more = parameter_count("mgbp3d", cycle=cycle, noise=True) - total
    assert more == 27 * sum(WIDTHS)  # a fourth channel in each analysis


def test_back_projections_of_each_size():
    names = {p.split("/")[2] for p in variable_shapes("mgbp3d", widths=(4, 4, 4, 4))}
    downs = sorted(n.removeprefix("down") for n in names if n.startswith("down"))
    assert downs == sorted(f"{n:0{k}b}" for k in (1, 2, 3) for n in range(2**k))


def test_recursion():
    """Two sizes, written out: u <- u + Up(y - Down(u)), twice."""
    grid = MultiGrid(3, (4, 6), 2, "w", 3)
    clip = _clip(3)
    found, variables = jax.jit(grid.init_with_output)(jax.random.key(1), clip)

    def part(name, x):
        def call(module, x):
            if name.startswith("up"):
                return SpaceTimeConvTranspose(4).apply(module, x)
            width = {"synthesis": 3, "analysis0": 4}.get(name, 6)
            stride = 2 if name.startswith("down") else 1
            return SpaceTimeConv(width, stride=stride).apply(module, x)

        return call({"params": variables["params"][name]}, x)

    def leaky(x):
        return jnp.where(x > 0, x, 0.1 * x)

    small = clip.reshape(1, 3, 4, 2, 5, 2, 3).mean((3, 5))
    u, y = part("analysis0", clip), part("analysis1", small)
    for k in range(2):
        u = u + leaky(part(f"up{k}", y - leaky(part(f"down{k}", u))))
    np.testing.assert_allclose(found, part("synthesis", u), atol=1e-5)


def test_a_frame_is_the_weighted_mean_of_the_patches_that_hold_it():
    network = models.build("mgbp3d", **TINY)
    variables = random_variables(network)
    clip = _clip()
    whole = jax.jit(network.apply)(variables, clip)
    patch = jax.jit(lambda x: network.apply(variables, x, train=True))  # a clip as one patch
    made = {i: patch(clip[:, i : i + 3]) for i in range(3)}
    weight = np.hamming(3) / np.hamming(3).sum()
    middle = sum(w * made[2 - k][:, k] for k, w in enumerate(weight))
    np.testing.assert_allclose(whole[:, 2], middle, atol=1e-4)
    even = network.clone(window="uniform").apply(variables, clip)
    np.testing.assert_allclose(even[:, 2], sum(made[2 - k][:, k] for k in range(3)) / 3, atol=1e-4)


def test_noise_is_the_frames_own():
    clip = jnp.tile(_clip(2, 32, 32), (1, 2, 1, 1, 1))
    noise = content_noise(clip)
    np.testing.assert_array_equal(noise[:, :2], noise[:, 2:])
    assert abs(float(jnp.corrcoef(noise[0, 0].ravel(), noise[0, 1].ravel())[0, 1])) < 0.1
    assert abs(float(noise.mean())) < 0.1 and abs(float(noise.std()) - 1) < 0.1


def test_quiet_is_the_picture_without_noise_and_streams_are_clips(noisy):
    network, variables = noisy
    clip = _clip()
    run = jax.jit(lambda n: n.apply(variables, clip, outputs=True), static_argnums=0)
    loud, still = run(network), run(network.clone(amplitude=0.0))
    np.testing.assert_allclose(loud["quiet"], still["picture"], atol=1e-6)
    assert float(jnp.abs(loud["picture"] - loud["quiet"]).max()) > 1e-2
    streamed = np.stack(list(enhance_frames((network, variables), np.asarray(clip[0]), chunk=2)))
    atol = 1e-5 * max(1.0, float(jnp.abs(loud["picture"]).max()))
    np.testing.assert_allclose(streamed, loud["picture"][0], atol=atol)


def test_both_noises_are_in_the_game_of_track_2():
    """Eq. 11: the discriminator sees the picture with noise, L1 the one without."""
    (stage,) = recipes.load("mgbp3d:track2").stages
    losses = tuple(t for t in stage.losses if t.name != "lpips")  # its weights are not at hand
    small = {"name": "multiscale", "features": 2}
    stage = dataclasses.replace(
        stage, losses=losses, options={**stage.options, "discriminator": small}
    )
    network = models.build("mgbp3d", **TINY, noise=True)
    trainer = adversarial.Trainer(stage, network, step.make_place(1))
    state = jax.eval_shape(
        lambda key: trainer.init_state(initial_variables(network, key)), jax.random.key(0)
    )
    clip = jax.ShapeDtypeStruct((1, 3, 64, 64, 3), jnp.float32)
    batch = {"compressed": clip, "raw": clip, "qp": jax.ShapeDtypeStruct((1,), jnp.int32)}
    new, metrics = jax.eval_shape(trainer.step, state, batch, {})
    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert {"loss/l1_quiet", "loss/adversarial"} <= set(metrics)
    assert stage.options["loss"] == "rsgan" and stage.options["weight"] == 0.001
    assert [t.weight for t in recipes.load("mgbp3d:track2").stages[0].losses] == [0.1, 10.0]


def test_fields_are_checked():
    with pytest.raises(UserError, match="taps=2 odd"):
        models.build("mgbp3d", taps=2)
    with pytest.raises(UserError, match="cycle='x' does not exist"):
        models.build("mgbp3d", cycle="x")
