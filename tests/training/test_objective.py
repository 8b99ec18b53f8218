"""What a stage minimizes: named outputs, targets, weights that change, losses of one's own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training import synthetic
from vqe_jax import losses
from vqe_jax.errors import UserError
from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.models.references import NearestPeaks
from vqe_jax.training import corruption, forward, kinds, plain, step
from vqe_jax.training.objective import build_objective, term_weight
from vqe_jax.training.stages import Stage, Term, TermWeight, parse


def total_variation(offsets, scale=1.0):
    """Takes no target."""
    return scale * jnp.mean(jnp.abs(jnp.diff(offsets, axis=-2)))


def to_the_neighbors(aligned, raw_windows):
    """Compares aligned frames with the frames they come from."""
    return jnp.mean(jnp.square(aligned - raw_windows))


def by_qp(prediction, target, *, qp):
    return jnp.mean(qp.astype(jnp.float32)) * jnp.mean(jnp.abs(prediction - target))


def at_peaks(prediction, target, *, side):
    """Of the frames of highest quality alone."""
    assert side.qp is not None and side.frame_qp.shape == side.peak.shape
    peak = side.peak.astype(jnp.float32)[..., None, None, None]
    return jnp.mean(jnp.abs(prediction - target) * peak)


@pytest.fixture
def registered():
    entries = {
        "tv": losses.Loss(total_variation, target=None),
        "neighbors": losses.Loss(to_the_neighbors, target="window"),
        "by_qp": losses.Loss(by_qp, takes=("qp",)),
        "at_peaks": losses.Loss(at_peaks, takes=("side",)),
    }
    for name, entry in entries.items():
        losses.register(name, entry)
    yield
    for name in entries:
        losses.LOSSES.unregister(name)


class Aligning(WindowNetwork):
    """Three frames at a time; it gives the picture, the neighbors and their offsets."""

    context = Context(past=1, future=1, outputs=("aligned", "offsets"))

    @nn.compact
    def enhance(self, windows, side=Side(), *, train=False):
        gain = self.param("gain", lambda _: jnp.float32(0.5))
        picture = gain * windows.mean(axis=1)
        return {"picture": picture, "aligned": windows * gain, "offsets": windows * 3}


def _batch():
    keys = jax.random.split(jax.random.key(0))
    clips = [jax.random.uniform(k, (2, 4, 6, 6, 1)) for k in keys]
    peak = jnp.arange(8).reshape(2, 4) % 3 == 0
    side = {"qp": jnp.asarray([30, 40]), "frame_qp": jnp.full((2, 4), 33), "peak": peak}
    return {"compressed": clips[0], "raw": clips[1], **side}


def _metrics(*terms, network=None, **fields):
    stage = Stage("s", 9, losses=terms, **fields)
    network = network or Aligning()
    made = plain.make_step(stage, network, step.make_place(1))
    variables = {"params": {"gain": jnp.float32(0.5)}}
    return jax.device_get(made.step_fn(made.init_state(variables), _batch())[1])


def test_a_term_is_taken_of_the_output_that_it_names(registered):
    metrics = _metrics(
        Term("l1"),
        Term("neighbors", 2.0, of="aligned"),
        Term("tv", 0.1, {"scale": 3.0}, of="offsets"),
        Term("by_qp"),
    )
    x, y = (np.asarray(_batch()[k]) for k in ("compressed", "raw"))
    windows, raws = (np.stack([a[:, :-2], a[:, 1:-1], a[:, 2:]], axis=2) for a in (x, y))
    expected = {
        "l1": np.abs(windows.mean(2) / 2 - y[:, 1:-1]).mean(),
        "neighbors_aligned": np.square(windows / 2 - raws).mean(),
        "tv_offsets": 9 * np.abs(np.diff(windows, axis=-2)).mean(),
    }
    expected["by_qp"] = 35 * expected["l1"]
    for label, value in expected.items():
        np.testing.assert_allclose(metrics[f"loss/{label}"], value, rtol=1e-5)
    total = np.dot([1, 2, 0.1, 1], [expected[k] for k in expected])
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-5)


def test_a_loss_may_know_what_is_known_of_the_compared_frames(registered):
    metrics = _metrics(Term("at_peaks"))
    x, y, peak = (np.asarray(_batch()[k]) for k in ("compressed", "raw", "peak"))
    picture = (x[:, :-2] + x[:, 1:-1] + x[:, 2:]) / 6
    expected = np.abs(picture - y[:, 1:-1]) * peak[:, 1:-1, None, None, None]
    np.testing.assert_allclose(metrics["loss"], expected.mean(), rtol=1e-5)


def test_windows_of_a_clip_without_whole_ones_repeat_its_ends():
    clip = jnp.arange(2.0)[None, :, None, None, None] * jnp.ones((1, 2, 4, 4, 1))
    method, compared = forward.whole_windows(Aligning(), {"compressed": clip, "raw": clip})
    assert method == "__call__" and compared["raw_windows"].shape == (1, 2, 3, 4, 4, 1)
    np.testing.assert_array_equal(
        compared["raw_windows"][0, :, :, 0, 0, 0], [[0, 0, 1], [0, 1, 1]]
    )  # fmt: skip


def test_a_weight_may_change_over_the_steps():
    line = TermWeight((1.0, 0.0), (10, 20))
    assert [float(term_weight(line, s)) for s in (0, 10, 15, 99)] == [1.0, 1.0, 0.5, 0.0]
    held = TermWeight((1.0, 0.1), (0, 20), hold=True)
    values = [float(term_weight(held, jnp.int32(s))) for s in (0, 19, 20, 99)]
    np.testing.assert_allclose(values, [1.0, 1.0, 0.1, 0.1])
    changing = {"weight": {"values": (3.0, 1.0), "steps": (0, 100)}, "name": "l1"}
    stage = parse(synthetic.config({"name": "s", "steps": 5, "losses": (changing,)})).stages[0]
    metrics = _metrics(*stage.losses)
    assert metrics["weight/l1"] == 3.0
    np.testing.assert_allclose(metrics["loss"], 3 * metrics["loss/l1"], rtol=1e-6)


def test_a_function_of_a_module_is_a_loss():
    metrics = _metrics(Term("l2"), Term(f"{__name__}:mean_gap"))
    assert "loss/mean_gap" in metrics and metrics["loss/l2"] > 0


def mean_gap(prediction, target):
    return jnp.abs(jnp.mean(prediction - target))


def halve(key, batch, *, factor=0.5):
    return batch | {"compressed": batch["compressed"] * factor}


def test_a_corruption_of_ones_own_need_not_mask(registered):
    section = {"name": f"{__name__}:halve", "factor": 0.0}
    metrics = _metrics(Term("by_qp"), corruption=section)
    expected = 35 * np.abs(np.asarray(_batch()["raw"][:, 1:-1])).mean()
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)
    with pytest.raises(UserError, match="no option 'facter'; did you mean 'factor'"):
        corruption.build(section | {"facter": 1})


def test_a_kind_of_ones_own_takes_the_stage():
    def nothing(stage, network, place):
        return stage.name, place.seed

    kinds.register("nothing", nothing)
    try:
        assert kinds.get("nothing")(Stage("s", 1), None, step.make_place(1, seed=3)) == ("s", 3)
    finally:
        kinds.KINDS.unregister("nothing")
    assert kinds.get("vqe_jax.training.plain:make_step") is plain.make_step


def test_an_augmentation_comes_first_and_by_the_steps_own_key():
    seen = []

    def augment(batch, key):
        seen.append(key)
        return {k: v[..., ::-1, :] if v.ndim == 5 else v for k, v in batch.items()}

    stage = Stage("s", 9, losses=(Term("l1"),))
    variables = {"params": {"gain": jnp.float32(0.5)}}
    outcomes = []
    for chosen in (None, augment):
        made = plain.make_step(stage, Aligning(), step.make_place(1, augment=chosen))
        outcomes.append(made.step_fn(made.init_state(variables), _batch())[1]["loss"])
    np.testing.assert_allclose(*outcomes, rtol=1e-6)  # both clips are mirrored alike
    assert len(seen) == 1


class Choosing(WindowNetwork):
    """Its windows hold the frame and its nearest peaks; the batch brings them ready made."""

    context = Context(references=NearestPeaks(4, 4), outputs=("aligned",))


def test_a_network_that_chooses_its_frames_is_compared_at_the_frame(registered):
    batch = _batch()
    window = {k: batch[k][:, :3] for k in ("compressed", "peak", "frame_qp")}
    batch = window | {"raw": batch["raw"][:, 1:2], "raw_window": batch["raw"][:, :3]}
    method, compared = forward.whole_windows(Choosing(), batch)
    assert method == "on_windows" and compared["raw_windows"].shape == (2, 1, 3, 6, 6, 1)
    np.testing.assert_array_equal(compared["peak"], window["peak"][:, 1:2])
    objective = build_objective(Stage("s", 1, losses=(Term("neighbors", of="aligned"),)))
    outputs = {"picture": batch["raw"], "aligned": compared["raw_windows"] + 0.5}
    assert float(objective(outputs, compared)[0]) == pytest.approx(0.25)
    del batch["raw_window"]
    with pytest.raises(UserError, match=r"set data\.raw_window=True"):
        objective(outputs, forward.whole_windows(Choosing(), batch)[1])


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (Term("l1", of="alinged"), "of output 'alinged', which Aligning does not have.*'aligned'"),
        (Term("vqe_jax.losses.pixel:charbonier"), "did you mean 'charbonnier'"),
        (Term("math:pi"), "expected a function"),
    ],
)
def test_terms_that_are_refused(term, message):
    with pytest.raises(UserError, match=message):
        build_objective(Stage("s", 1, losses=(term,))).check(Aligning(), "stage 's'")


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ({"values": (1.0,), "steps": (1, 2)}, "1 values for 2 steps"),
        ({"values": (1.0, 2.0), "steps": (5, 5)}, "must rise"),
        ({"value": 1.0}, "has no key 'value'"),
    ],
)
def test_weights_that_are_refused(weight, message):
    losses_ = ({"name": "l1", "weight": weight},)
    with pytest.raises(UserError, match=message):
        parse(synthetic.config({"name": "s", "steps": 5, "losses": losses_}))


def test_a_loss_says_what_it_takes_in_words_that_somebody_gives():
    with pytest.raises(UserError, match="a loss may take weight, qp, side, variables"):
        losses.Loss(mean_gap, takes=("qps",))
    with pytest.raises(UserError, match="go together"):
        losses.Loss(mean_gap, takes=("variables",))
