import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training.synthetic import Batches, Tiny, config
from vqe_jax import losses
from vqe_jax.errors import UserError
from vqe_jax.models import Context, Network, Side, WindowNetwork
from vqe_jax.nn.recurrence import scan_time
from vqe_jax.training import forward, kinds, plain
from vqe_jax.training import step as steps
from vqe_jax.training.feed import data_config
from vqe_jax.training.stages import parse
from vqe_jax.training.state import exported_variables
from vqe_jax.weights.perceptual import WEIGHTS


class Decay(Network):
    """A recurrence whose state is known: half of the last one and the frame."""

    context = Context(recurrence="forward")

    def setup(self):
        self.rate = self.param("rate", lambda _: jnp.float32(0.5))

    def forward(self, clip, *, side, train):
        def cell(module, state, frame):
            state = state * module.rate + frame
            return state, state

        return scan_time(self, jnp.zeros_like(clip[:, 0]), clip, method=cell)[1]


def batch(number: int = 0, size: int = 8) -> dict[str, jax.Array]:
    settings = data_config({"frames": 2, "crop": 8, "batch": size}, {}, "data")
    arrays = next(Batches(settings, seed=0, start=number))
    return {k: jnp.asarray(v) for k, v in arrays.items() if k != "name"}


def start(devices: int | None = 1, **keys):
    stage = parse(config({"name": "s", "steps": 9, "learning_rate": 1e-2} | keys)).stages[0]
    network = Tiny()
    step = plain.make_step(stage, network, steps.make_place(devices))
    variables = network.init(jax.random.key(1), batch()["raw"])
    variables = {k: variables[k] for k in ("params", "batch_stats")}
    return step, step.init_state(variables)


def run(step, state, count: int = 3):
    for number in range(count):
        state, metrics = step.step_fn(state, batch(number))
    return jax.device_get((state, metrics))


GUIDED = {"corruption": {"name": "truth_guidance", "patch": 2, "ratio": 0.5}}


def test_eight_devices_do_what_one_does():
    assert len(jax.devices()) == 8
    one, metrics_one = run(*start(1, ema=0.9, **GUIDED))
    eight, metrics_eight = run(*start(None, ema=0.9, **GUIDED))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), one, eight)
    assert metrics_one["loss"] == pytest.approx(metrics_eight["loss"], rel=1e-5)


def test_the_state_is_donated_and_the_next_lies_where_it_lay():
    step, state = start(ema=0.9)
    places = {x.unsafe_buffer_pointer() for x in jax.tree.leaves(state.params)}
    after, _ = step.step_fn(state, batch())
    assert all(x.is_deleted() for x in jax.tree.leaves((state.params, state.ema)))
    assert places & {x.unsafe_buffer_pointer() for x in jax.tree.leaves(after)}


def test_a_step_says_what_it_did():
    step, state = start(losses=(("charbonnier", 1.0), ("fft", 0.5)))
    _, metrics = run(step, state, 1)
    total = metrics["loss/charbonnier"] + 0.5 * metrics["loss/fft"]
    assert metrics["loss"] == pytest.approx(total, rel=1e-6)
    assert metrics["grad_norm"] > 0 and metrics["param_norm"] > 0 and metrics["state_norm"] > 0
    assert metrics["learning_rate"] == pytest.approx(1e-2)


@pytest.fixture
def scaled():
    """A distance that only multiplies by what it is given, in place of a network."""

    def distance(pred, target, *, variables, net="two"):
        return variables["scale"] * jnp.mean(jnp.abs(pred - target))

    WEIGHTS.register("of_two", lambda: {"scale": np.float32(2)})
    WEIGHTS.register("of_three", lambda: {"scale": np.float32(3)})
    entry = losses.Loss(
        distance, takes=("variables",), weights=lambda o: f"of_{o.get('net', 'two')}"
    )
    losses.register("scaled", entry)
    yield
    losses.LOSSES.unregister("scaled")
    for name in ("of_two", "of_three"):
        WEIGHTS.unregister(name)


def test_a_loss_may_be_taken_twice_each_with_its_own_weights(scaled):
    step, state = start(losses=(("scaled", 1.0), ("l1", 0.5), ("scaled", 10.0, {"net": "three"})))
    _, metrics = run(step, state, 1)
    two, three, l1 = (metrics[f"loss/{k}"] for k in ("scaled_1", "scaled_2", "l1"))
    np.testing.assert_allclose([two, three], [2 * l1, 3 * l1], rtol=1e-6)
    assert metrics["loss"] == pytest.approx(two + 0.5 * l1 + 10 * three, rel=1e-6)


def test_batch_statistics_and_the_average_move():
    step, state = start(ema=0.9)
    before = jax.device_get(state)
    after, _ = run(step, state, 1)
    means = after.stats["batch_stats"]["BatchNorm_0"]["mean"]
    assert not np.array_equal(means, before.stats["batch_stats"]["BatchNorm_0"]["mean"])
    # The first step's decay is 1 / 10: nine tenths of the way to the new parameters.
    first, new, ema = (t["last"]["kernel"] for t in (before.params, after.params, after.ema))
    np.testing.assert_allclose(ema, 0.1 * first + 0.9 * new, rtol=1e-5)
    np.testing.assert_array_equal(exported_variables(after)["params"]["last"]["kernel"], ema)


def test_the_size_of_a_recurrent_state_is_among_the_metrics():
    stage = parse(config({"name": "s", "steps": 9})).stages[0]
    step = plain.make_step(stage, Decay(), steps.make_place(1))
    data = batch(size=1)
    variables = Decay().init(jax.random.key(0), data["raw"])
    assert set(variables) == {"params"}
    _, metrics = step.step_fn(step.init_state(variables), data)
    first, second = np.moveaxis(np.asarray(data["compressed"]), 1, 0)
    expected = np.sqrt(np.mean((0.5 * first + second) ** 2))
    assert float(metrics["state_norm"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_changes_nothing_and_is_counted(value):
    step, state = start(ema=0.9)
    before = jax.device_get(state)
    bad = batch(0)
    bad["raw"] = bad["raw"].at[0, 0, 0, 0, 0].set(value)
    state, metrics = step.step_fn(state, bad)
    state, metrics = step.step_fn(state, bad)
    after = jax.device_get(state)
    for part in ("params", "stats", "ema", "opt_state"):
        jax.tree.map(np.testing.assert_array_equal, getattr(before, part), getattr(after, part))
    assert (after.step, after.skipped, after.skipped_in_a_row) == (2, 2, 2)
    state, metrics = step.step_fn(state, batch(2))
    assert metrics["skipped"] == 2 and metrics["skipped_in_a_row"] == 0
    assert not np.array_equal(state.params["last"]["kernel"], before.params["last"]["kernel"])


def test_frozen_held_and_slowed_parameters():
    step, state = start(rates=(("scale", 0), ("last", 1, 2), ("first/kernel", 0.5)))
    before = jax.device_get(state.params)
    state, _ = step.step_fn(state, batch(0))
    once = jax.device_get(state.params)
    np.testing.assert_array_equal(once["BatchNorm_0"]["scale"], before["BatchNorm_0"]["scale"])
    np.testing.assert_array_equal(once["last"]["kernel"], before["last"]["kernel"])
    moved = np.abs(once["first"]["kernel"] - before["first"]["kernel"]).max()
    assert moved == pytest.approx(0.5e-2, rel=1e-2)  # Adam's first step is the learning rate
    state, _ = run(step, state, 2)
    assert not np.array_equal(state.params["last"]["kernel"], before["last"]["kernel"])


def test_the_seed_decides_and_nothing_else():
    outcomes = [run(*start(**GUIDED))[0].params["last"]["kernel"] for _ in range(2)]
    np.testing.assert_array_equal(*outcomes)


def test_mistakes_are_found_before_the_first_step():
    with pytest.raises(UserError, match=r"no parameter's path matches 'frist'.*'first'"):
        start(rates=(("frist", 0),))
    with pytest.raises(UserError, match="loss 'fft' cannot be taken on a part"):
        start(losses=(("fft", 1.0),), **GUIDED)
    with pytest.raises(UserError, match="a plain step has no options"):
        start(options={"gan": 1})
    with pytest.raises(UserError, match="there are 8 devices"):
        steps.make_place(9)
    with pytest.raises(UserError, match="did you mean 'plain'"):
        kinds.get("plane")


class Window(WindowNetwork):
    """The mean of three frames, scaled."""

    @nn.compact
    def enhance(self, windows, side=Side(), *, train=False):
        return self.param("scale", lambda _: jnp.float32(1.0)) * windows.mean(axis=1)


def test_window_networks_are_judged_where_their_window_is_whole():
    stage = parse(config({"name": "s", "steps": 1, "losses": (("l2", 1.0),)})).stages[0]
    clips = {
        k: jax.random.uniform(jax.random.key(i), (2, 3, 4, 4, 1))
        for i, k in enumerate(("compressed", "raw"))
    }
    network = Window()
    step = plain.make_step(stage, network, steps.make_place(1))
    state = step.init_state(network.init(jax.random.key(0), clips["raw"]))
    _, metrics = step.step_fn(state, clips)
    middle = clips["compressed"].mean(axis=1) - clips["raw"][:, 1]
    np.testing.assert_allclose(metrics["loss"], jnp.square(middle).mean(), rtol=1e-5)


def test_a_clip_shorter_than_the_window_is_judged_whole():
    clip = {k: jnp.zeros((1, 2, 4, 4, 1)) for k in ("compressed", "raw")}
    method, judged = forward.whole_windows(Window(), clip)
    assert method == "__call__" and judged["raw"].shape[1] == 2
