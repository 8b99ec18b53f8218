import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.training.optimizer import (
    build_optimizer,
    build_schedule,
    paths,
    rates,
    selected,
)
from vqe_jax.training.stages import Optimizer, Rate, Schedule, Stage

PARAMS = {
    "flow": {"kernel": jnp.ones((3, 3, 2, 2)), "bias": jnp.zeros((2,))},
    "head": {"kernel": jnp.ones((3, 3, 2, 4))},
}


def schedule_at(stage: Stage, *steps: int) -> list[float]:
    schedule = build_schedule(stage)
    return [float(schedule(jnp.int32(s))) for s in steps]


def test_cosine_goes_from_the_peak_to_its_end():
    stage = Stage("s", 100, learning_rate=3e-4, schedule=Schedule("cosine", end=1e-4))
    np.testing.assert_allclose(schedule_at(stage, 0, 50, 100), [3e-4, 2e-4, 1e-4], rtol=1e-5)


def test_stages_can_share_one_cosine():
    parts = [
        Stage("s", 50, learning_rate=1.0, schedule=Schedule("cosine", length=100, offset=o))
        for o in (0, 50)
    ]
    whole = Stage("s", 100, learning_rate=1.0, schedule=Schedule("cosine"))
    np.testing.assert_allclose(
        schedule_at(parts[0], 10, 49) + schedule_at(parts[1], 0, 40),
        schedule_at(whole, 10, 49, 50, 90),
        rtol=1e-6,
    )


def test_restarts_with_their_scales():
    cosine = Schedule("cosine", periods=(10, 20), restart_scales=(1.0, 0.5), end=0.1)
    stage = Stage("s", 30, learning_rate=1.0, schedule=cosine)
    np.testing.assert_allclose(
        schedule_at(stage, 0, 9, 10, 20, 30), [1, 0.122, 0.5, 0.3, 0.1], rtol=2e-3
    )


def test_a_cosine_from_zero_stays_there():
    assert schedule_at(Stage("s", 9, learning_rate=0.0, schedule=Schedule("cosine")), 0, 4) == [
        0,
        0,
    ]
    warm = Schedule("cosine", periods=(2, 4), restart_scales=(0.0, 1.0), end=0.1)
    assert schedule_at(Stage("s", 6, learning_rate=1.0, schedule=warm), 0, 1, 2) == [0, 0, 1]


def test_halving_and_warmup():
    halving = Stage("s", 100, learning_rate=1.0, schedule=Schedule("step"))
    np.testing.assert_allclose(schedule_at(halving, 59, 61, 91), [1, 0.5, 0.25])
    rising = Stage("s", 100, learning_rate=1.0, schedule=Schedule(warmup=4))
    np.testing.assert_allclose(schedule_at(rising, 0, 1, 3, 50), [0.25, 0.5, 1, 1])


def test_each_step_down_may_have_its_own_factor():
    steps = Schedule("step", fractions=(0.25, 0.5), factor=(0.5, 0.4))
    stage = Stage("s", 100, learning_rate=1.0, schedule=steps)
    np.testing.assert_allclose(schedule_at(stage, 0, 26, 51, 99), [1, 0.5, 0.2, 0.2], rtol=1e-6)


def test_schedule_mistakes():
    with pytest.raises(UserError, match="2 fractions but 1 factors"):
        build_schedule(Stage("s", 1, schedule=Schedule("step", factor=(0.5,))))
    with pytest.raises(UserError, match="did you mean 'cosine'"):
        build_schedule(Stage("s", 1, schedule=Schedule("cosin")))
    with pytest.raises(UserError, match="2 periods but 1 restart_scales"):
        cosine = Schedule("cosine", periods=(1, 2), restart_scales=(1.0,))
        build_schedule(Stage("s", 3, schedule=cosine))


def test_patterns_select_by_path():
    assert paths(PARAMS) == ["flow/bias", "flow/kernel", "head/kernel"]
    assert selected(PARAMS, ["^flow", "bias"], "rates") == ["flow/bias", "flow/kernel"]
    own = (Rate("head", 0.0), Rate("flow", 0.5, 7), Rate("bias", 2.0))
    bias, flow, head = jax.tree.leaves(rates(Stage("s", 1, rates=own), PARAMS))
    assert (bias, flow, head) == (own[2], own[1], own[0])
    assert {rate.factor for rate in jax.tree.leaves(rates(Stage("s", 1), PARAMS))} == {1.0}


@pytest.mark.parametrize(
    ("pattern", "message"), [("flo_", "did you mean 'flow'"), ("(", "not a regular expression")]
)
def test_a_pattern_that_finds_nothing_is_a_mistake(pattern, message):
    with pytest.raises(UserError, match=message):
        selected(PARAMS, [pattern], "rates")


def test_adam_is_adam_as_written_down():
    stage = Stage("s", 10, optimizer=Optimizer("adam", betas=(0.9, 0.99), eps=1e-8))
    optimizer = build_optimizer(stage)
    state = optimizer.init(PARAMS)
    rng = np.random.default_rng(0)
    m = v = np.zeros((3, 3, 2, 4))
    for t in range(1, 4):
        grads = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), PARAMS)
        updates, state = optimizer.update(grads, state, PARAMS, stage_step=jnp.int32(t - 1))
        g = np.asarray(grads["head"]["kernel"], np.float64)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        expected = -(m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.99**t)) + 1e-8)
        np.testing.assert_allclose(updates["head"]["kernel"], expected, rtol=1e-4)


def test_held_parameters_begin_as_if_the_optimiser_were_new():
    stage = Stage("s", 10, rates=(Rate("flow", 1.0, 2), Rate("head", 0.0)))
    optimizer = build_optimizer(stage)
    state = optimizer.init(PARAMS)
    grads = jax.tree.map(lambda p: jnp.full_like(p, 0.5), PARAMS)
    moved = []
    for step in range(3):
        updates, state = optimizer.update(grads, state, PARAMS, stage_step=jnp.int32(step))
        moved.append(float(updates["flow"]["kernel"][0, 0, 0, 0]))
        assert not np.any(updates["head"]["kernel"])
    assert moved[:2] == [0, 0]
    np.testing.assert_allclose(moved[2], -1.0, rtol=1e-4)  # Adam's first step is the sign


@pytest.mark.parametrize("name", ["adamw", "nadam", "radam", "lamb", "lion", "sgd", "muon"])
def test_every_optimiser_goes_downhill(name):
    decay = 0.01 if name in ("adamw", "lamb", "lion", "muon") else 0.0
    section = Optimizer(name, weight_decay=decay, clip_norm=1.0)
    optimizer = build_optimizer(Stage("s", 10, optimizer=section))
    grads = jax.tree.map(
        lambda p: jnp.sin(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape), PARAMS
    )
    updates, _ = optimizer.update(grads, optimizer.init(PARAMS), PARAMS, stage_step=jnp.int32(0))
    slope = sum(
        float(jnp.sum(u * g))
        for u, g in zip(jax.tree.leaves(updates), jax.tree.leaves(grads), strict=True)
    )
    assert slope < 0


def test_adaptive_clipping_bounds_each_output_channel_by_its_weights():
    section = Optimizer("sgd", betas=(0.0, 0.0), adaptive_clip=0.01)
    optimizer = build_optimizer(Stage("s", 10, optimizer=section))
    scale = jnp.asarray([1.0, 1.0, 1e-3, 1e-3])  # two channels with large gradients, two small
    grads = jax.tree.map(jnp.zeros_like, PARAMS)
    grads["head"]["kernel"] = jnp.ones((3, 3, 2, 4)) / scale[None, None, None] * 1e-4
    updates, _ = optimizer.update(grads, optimizer.init(PARAMS), PARAMS, stage_step=jnp.int32(0))
    norms = np.linalg.norm(np.asarray(updates["head"]["kernel"]).reshape(-1, 4), axis=0)
    whole = np.sqrt(18)  # the norm of a channel's weights, all ones
    np.testing.assert_allclose(norms, [1e-4 * whole] * 2 + [0.01 * whole] * 2, rtol=1e-4)


def test_optimiser_mistakes():
    with pytest.raises(UserError, match="did you mean 'adamw'"):
        build_optimizer(Stage("s", 1, optimizer=Optimizer("adanw")))
    with pytest.raises(UserError, match="use 'adamw'"):
        build_optimizer(Stage("s", 1, optimizer=Optimizer("adam", weight_decay=0.1)))
