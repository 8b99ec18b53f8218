"""Regularizers of offsets, against sums by hand; and as terms of a stage."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.training import synthetic
from vqe_jax import losses
from vqe_jax.errors import UserError
from vqe_jax.models import Context, FrameNetwork, Side
from vqe_jax.models.shapes import initial_variables
from vqe_jax.nn.layers import Conv
from vqe_jax.training import plain, step
from vqe_jax.training.metrics_writer import MetricsWriter
from vqe_jax.training.stages import parse
from vqe_jax.training.step_log import OffsetWatch, StepLog


def _offsets(seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(0, 3, (2, 3, 5, 6, 36)), jnp.float32)


def test_total_variation_by_hand():
    x = _offsets()
    down = jnp.abs(x[..., 1:, :, :] - x[..., :-1, :, :]).mean()
    beside = jnp.abs(x[..., 1:, :] - x[..., :-1, :]).mean()
    assert float(losses.build("offset_tv")(x)) == pytest.approx(float(down + beside), rel=1e-5)


@pytest.mark.parametrize("over", ["channels", "space"])
def test_deviation_by_hand(over):
    x = np.asarray(_offsets())
    rows, columns = x[..., 0::2], x[..., 1::2]  # dy, dx
    axis = -1 if over == "channels" else (-3, -2)
    parts = [np.abs(p - p.mean(axis, keepdims=True)).mean() for p in (rows, columns)]
    found = float(losses.build("offset_deviation", over=over)(jnp.asarray(x)))
    assert found == pytest.approx(np.mean(parts), rel=1e-5)


def test_one_motion_for_all_costs_nothing_and_trees_are_averaged():
    shift = jnp.broadcast_to(jnp.array([4.0, -7.0]), (4, 4, 9, 2)).reshape(4, 4, 18)
    for name in ("offset_tv", "offset_deviation"):
        loss = losses.build(name)
        assert float(loss(shift)) == 0
        a, b = _offsets(1), _offsets(2)[..., :4, :3, :]
        both = float(loss({"l1": a, "l2": b}))
        assert both == pytest.approx((float(loss(a)) + float(loss(b))) / 2, rel=1e-5)
    with pytest.raises(UserError, match="over='channel' does not exist; did you mean 'channels'"):
        losses.build("offset_deviation", over="channel")(shift)


class Moving(FrameNetwork):
    """A picture, and offsets on two levels."""

    context = Context(outputs=("offsets",))

    @nn.compact
    def enhance(self, frames, side=Side(), *, train=False):
        plan = Conv(18, name="offset")(frames)
        offsets = {"l1": plan, "l2": 2 * plan[:, ::2, ::2]}
        self.sow("metrics", "offset_max", jnp.max(jnp.abs(plan)))
        return {"picture": frames + jnp.mean(plan, axis=-1, keepdims=True), "offsets": offsets}


def test_a_stage_takes_them_of_an_output_with_weights_that_fall_to_zero():
    network = Moving()
    weight = {"values": (0.5, 0.0), "steps": (0, 2)}
    terms = [
        {"name": name, "weight": weight, "of": "offsets"}
        for name in ("offset_tv", "offset_deviation")
    ]
    (stage,) = parse(
        synthetic.config({"name": "one", "steps": 3, "losses": (("l2", 1.0), *terms)})
    ).stages
    made = plain.make_step(stage, network, step.make_place(1))
    state = made.init_state(initial_variables(network, jax.random.key(0)))
    clip = jax.random.uniform(jax.random.key(1), (1, 1, 8, 8, 1))
    batch = {"compressed": clip, "raw": clip + 0.1}
    weights = []
    for _ in range(3):
        state, metrics = made.step_fn(state, batch)
        weights.append(float(metrics["weight/offset_tv_offsets"]))
    assert weights == pytest.approx([0.5, 0.25, 0.0])
    assert float(metrics["offset_max"]) > 0  # they have moved from zero
    assert float(metrics["loss/offset_deviation_offsets"]) > 0


def test_offsets_that_run_away_are_said_in_the_log(tmp_path, capsys):
    writer = MetricsWriter(tmp_path, total_steps=9)
    writer.begin(0)
    log = StepLog(writer, "one", last=9, every=5, max_skipped=3, warn=lambda _: None)
    base = {"loss": 1.0, "skipped_in_a_row": 0.0, "skipped": 0.0, "learning_rate": 1e-4}
    for number, reach in enumerate([3.0, 130.0, 140.0], start=1):
        log.push(number, base | {"offset_max": reach, "offset_mean": 9.0}, ["clip"])
    log.flush()
    writer.close()
    said = [line for line in capsys.readouterr().out.splitlines() if "offsets reach" in line]
    assert len(said) == 1
    assert "step 2: offsets reach 130 px (mean 9 px)" in said[0] and "offset_tv" in said[0]
    assert OffsetWatch()({"loss": 1.0}) is None
