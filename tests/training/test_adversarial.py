import dataclasses
import json
import shutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.training import synthetic
from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.losses.adversarial import adversarial as pair_of
from vqe_jax.models.shapes import initial_variables
from vqe_jax.nn.patchgan import PatchDiscriminator
from vqe_jax.training import adversarial, forward, loop, step
from vqe_jax.training.game import Game, Options, build_game
from vqe_jax.training.objective import build_objective
from vqe_jax.training.stages import Stage, Term

NETWORK = {"width": 4, "down_widths": (4, 4, 4)}
TINY = {"discriminator": {"features": 2}, "sample_every": 2}


def _stage(**options):
    return Stage("gan", 4, kind="adversarial", losses=(Term("l1"),), options=TINY | options)


def _trainer(**options):
    network = models.build("vig", **NETWORK)
    return adversarial.Trainer(_stage(**options), network, step.make_place(1))


@pytest.fixture(scope="module")
def variables():
    network = models.build("vig", **NETWORK)
    return initial_variables(network, jax.random.key(0))


@pytest.fixture(scope="module")
def batch():
    class Config:
        color, batch, frames, crop = "luma", 2, 2, 64

    made = next(synthetic.Batches(Config, seed=0))
    return {k: jnp.asarray(v) for k, v in made.items() if k != "name"}


def _golden_game(shared, name):
    golden = np.load(shared / "golden" / f"{name}.npz")
    tensors = {k[5:]: golden[k] for k in golden.files if k.startswith("sd/D.")}
    discriminator = weights.from_torch("patchgan", tensors, features=8)
    params = {}
    names = iter(
        f"conv{b}_{i}" for b, n in ((1, 2), (2, 2), (3, 4), (4, 4)) for i in range(1, n + 1)
    )
    kernels = [k for k in golden.files if k.startswith("sd/vgg.slice") and k.endswith("weight")]
    for key in kernels:
        params[next(names, "conv5_1")] = {
            "kernel": golden[key].transpose(2, 3, 1, 0),
            "bias": golden[key.replace("weight", "bias")],
        }
    objective = build_objective(Stage("s", 1, losses=(Term("vgg_pyramid", 10.0, {"divisor": 8}),)))
    game = Game(Options(), pair_of("lsgan"), PatchDiscriminator(features=8), objective)
    fake, real = (jnp.asarray(golden[f"in/{k}"].transpose(0, 2, 3, 1)) for k in ("fake", "real"))
    return golden, game, discriminator, {"vgg19": {"params": params}}, fake, real


def test_golden_losses(shared):
    golden, game, discriminator, vgg, fake, real = _golden_game(shared, "peq_losses_div8")
    params, stats = discriminator["params"], discriminator["batch_stats"]
    loss, _ = game.discriminator_loss(params, stats, real, fake, jax.random.key(0))
    np.testing.assert_allclose(loss, golden["out/loss_D"], atol=2.2e-5, rtol=0)
    outputs, batch = {"picture": fake[:, None]}, {"raw": real[:, None]}
    total, (_, values) = game.generator_loss(outputs, batch, (params, stats), vgg)
    for name, key, tolerance in (
        ("adversarial", "G_adv", 3.3e-5),
        ("feature_matching", "FM", 3.9e-5),
        ("vgg_pyramid", "VGG", 2.9e-5),
    ):
        wanted = golden[f"out/loss_{key}"]
        np.testing.assert_allclose(values[f"loss/{name}"], wanted, atol=tolerance, rtol=0)
    np.testing.assert_allclose(total, golden["out/loss_G_total"], atol=7.1e-4, rtol=0)


def test_golden_gradients(shared):
    golden, game, discriminator, vgg, fake, real = _golden_game(
        shared, "train_peq_losses_grad_div8"
    )
    params, stats = discriminator["params"], discriminator["batch_stats"]
    learn = jax.jit(jax.grad(game.discriminator_loss, has_aux=True))
    gradient = learn(params, stats, real, fake, jax.random.key(0))[0]
    official = weights.to_torch("patchgan", {"params": gradient, "batch_stats": stats}, features=8)
    for name, tolerance in (
        ("conv1.weight", 2.1e-5),
        ("conv3.weight", 3.9e-6),
        ("conv4_bn.weight", 2.2e-6),
        ("conv5.weight", 1.1e-5),
    ):
        wanted = golden[f"out/gradD/{name}"]
        np.testing.assert_allclose(official[name], wanted, atol=tolerance, rtol=0)

    def total(frames):
        outputs, batch = {"picture": frames[:, None]}, {"raw": real[:, None]}
        return game.generator_loss(outputs, batch, (params, stats), vgg)[0]

    value, d_fake = jax.jit(jax.value_and_grad(total))(fake)
    np.testing.assert_allclose(value, golden["out/loss_G_total"], atol=7.6e-4, rtol=0)
    apart = np.abs(d_fake - golden["out/d_fake"].transpose(0, 2, 3, 1))
    assert (apart <= 2.5e-6).mean() >= 0.999  # the signs of ties in L1 terms are free


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "ragan", "penalty": "r1"},
        {"loss": "rsgan", "feature_matching": 0.0},
        {"loss": "hinge", "penalty": "interpolated", "discriminator_steps": 2},
    ],
)
def test_every_game_makes_a_step(variables, batch, options):
    trainer = _trainer(**options)
    state = jax.eval_shape(trainer.init_state, variables)
    new, metrics = jax.eval_shape(trainer.step, state, batch, {})
    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert ("discriminator/penalty" in metrics) == ("penalty" in options)
    assert ("loss/feature_matching" in metrics) == ("feature_matching" not in options)


def test_both_sides_move_and_a_step_that_is_not_finite_moves_neither(variables, batch):
    network = models.build("vig", **NETWORK)
    made = adversarial.make_step(_stage(discriminator_steps=2), network, step.make_place(1))
    before = made.init_state(variables)
    start = jax.device_get(before)
    state, metrics = made.step_fn(before, batch)
    after = jax.device_get(state)
    for side in ("params", "auxiliary"):
        moved = jax.tree.map(
            lambda a, b: not np.array_equal(a, b),
            *(
                getattr(s, side) if side == "params" else s.auxiliary["params"]
                for s in (start, after)
            ),
        )
        assert all(jax.tree.leaves(moved))
    assert np.isfinite([float(v) for v in metrics.values()]).all()
    # Two looks of each of its two updates and two of the generator's step.
    mean = after.auxiliary["stats"]["norm2"]["mean"]
    assert not np.array_equal(mean, start.auxiliary["stats"]["norm2"]["mean"])

    poisoned = batch | {"raw": batch["raw"].at[0, 0, 0, 0].set(jnp.nan)}
    state, metrics = made.step_fn(state, poisoned)
    assert int(state.skipped) == 1 and int(metrics["skipped_in_a_row"]) == 1
    jax.tree.map(np.testing.assert_array_equal, after.params, state.params)
    jax.tree.map(np.testing.assert_array_equal, after.auxiliary, state.auxiliary)


def test_the_discriminator_learns_to_tell_apart(variables, batch):
    trainer = _trainer(weight=0.0, feature_matching=0.0, discriminator_learning_rate=1e-3)
    frames = (batch[k].reshape(-1, 64, 64, 1) for k in ("raw", "compressed"))
    real, fake = frames
    discriminator = trainer.new_discriminator()
    learn = jax.jit(trainer.train_discriminator)
    rate, count, key = jnp.float32(1e-4), jnp.int32(0), jax.random.key(0)
    reports = []
    for _ in range(60):
        discriminator, report, _ = learn(discriminator, real, fake, rate, count, key)
        reports.append(float(report["discriminator/loss"]))
    assert reports[-1] < 0.5 * reports[0]
    assert float(report["discriminator/accuracy_real"]) > 0.9


def test_what_the_generator_sows_is_among_the_metrics(batch):
    """As in a plain step: both run the network through one function."""
    network = synthetic.Tiny()
    variables = initial_variables(network, jax.random.key(0))
    stage = _stage(feature_matching=0.0)
    made = adversarial.make_step(stage, network, step.make_place(1))
    kept = {k: variables[k] for k in ("params", "batch_stats")}
    _, metrics = made.step_fn(made.init_state(kept), batch)
    _, sown = network.apply(
        kept, batch["compressed"], train=True, mutable=["batch_stats", "metrics"]
    )
    np.testing.assert_allclose(metrics["state_norm"], sown["metrics"]["state_norm"][0], rtol=1e-5)


class OfClips(nn.Module):
    """A discriminator of the reader's own: it looks at whole clips and normalizes nothing."""

    channels: int = 1
    sees_clips = True

    @nn.compact
    def __call__(self, clips, *, train):
        change = clips - clips.mean(axis=1, keepdims=True)
        features = nn.Dense(3)(change)
        return nn.Dense(1)(features).mean(axis=(1, 2, 3)), (features,)


def test_a_discriminator_of_the_readers_own_is_named_in_the_options(variables, batch):
    name = f"{__name__}:OfClips"
    trainer = _trainer(discriminator={"name": name}, penalty="r1")
    state = trainer.init_state(variables)
    assert state.auxiliary["stats"] == {}
    assert state.auxiliary["params"]["Dense_0"]["kernel"].shape == (1, 3)
    new, metrics = jax.eval_shape(trainer.step, state, batch, {})
    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert {"discriminator/penalty", "loss/feature_matching"} <= set(metrics)


def test_a_collapse_is_counted_and_said_once():
    trainer = _trainer(collapse_steps=2)
    won, flat = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    discriminator = {"won_in_a_row": won, "flat_in_a_row": flat}
    said = []
    for accuracy, spread in (
        (1.0, 0.5),
        (1.0, 0.5),
        (1.0, 0.5),
        (0.5, 0.5),
        (0.5, 0.0),
        (0.5, 0.0),
    ):
        report = {
            "discriminator/accuracy_real": jnp.float32(accuracy),
            "discriminator/accuracy_fake": jnp.float32(accuracy),
            "discriminator/spread": jnp.float32(spread),
        }
        discriminator = trainer.watch(discriminator, report)
        said.append(
            trainer.warn({f"discriminator/{k}": float(v) for k, v in discriminator.items()})
        )
    assert [s is not None for s in said] == [False, True, False, False, False, True]
    assert "99%" in said[1] and "same score" in said[5]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"los": "lsgan"}, "loss"),
        ({"loss": "wgan"}, "adversarial loss 'wgan'"),
        ({"penalty": "r2"}, "r1"),
        ({"discriminator": {"feature": 3}}, "features"),
        ({"discriminator": {"name": "patchgun"}}, "did you mean 'patchgan'"),
        ({"discriminator": {"name": "math:pi"}}, "expected a subclass of flax.linen.Module"),
        ({"discriminator_steps": 0}, "at least 1"),
    ],
)
def test_options_that_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        _trainer(**options)


def test_window_networks_are_judged_where_their_neighbours_are_known(batch):
    network = models.build("vig", **NETWORK)
    assert forward.whole_windows(network, batch)[0] == "__call__"
    window = models.build("pequenet")
    clip = {k: jnp.zeros((2, 5, 16, 16, 1)) for k in ("raw", "compressed", "weight")}
    method, cut = forward.whole_windows(window, clip)
    assert method == "inner"
    assert [cut[k].shape[1] for k in ("raw", "compressed", "weight")] == [3, 5, 3]


def _config(**keys):
    stage = {
        "name": "gan",
        "steps": 4,
        "kind": "adversarial",
        "losses": (("l1", 1.0),),
        "ema": 0.9,
        "options": TINY,
        "learning_rate": 1e-3,
        "data": {"frames": 2, "crop": 64},
    }
    return synthetic.config(stage, model="vig", model_kwargs=NETWORK, eval=None, **keys)


def test_resume_is_bit_identical_and_health_is_visible(tmp_path, tiny):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    loop.run(_config(), whole)
    shutil.copytree(whole, resumed)
    for path in (resumed / "checkpoints").glob("4*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (resumed / "last.safetensors").unlink()
    loop.run(_config(), resumed)

    manifests = [
        json.loads((f / "checkpoints" / "4.manifest.json").read_text())["arrays"]
        for f in (whole, resumed)
    ]
    assert manifests[0] == manifests[1]  # shapes, types and checksums of both sides
    assert any("auxiliary.params" in name for name in manifests[0])
    one, other = (load_file(f / "last.safetensors") for f in (whole, resumed))
    assert all(np.array_equal(one[k], other[k]) for k in one)

    records = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    last = [r for r in records if r["kind"] == "train"][-1]
    assert {
        "loss/adversarial",
        "loss/feature_matching",
        "loss/l1",
        "grad_norm",
        "discriminator/loss",
        "discriminator/accuracy_real",
        "discriminator/accuracy_fake",
        "discriminator/grad_norm",
    } <= set(last)
    pictures = sorted(p.name for p in (whole / "samples").iterdir())
    assert pictures == ["00000002.png", "00000004.png"]


def test_a_rate_of_its_own_needs_a_schedule_to_follow():
    stage = dataclasses.replace(_stage(discriminator_learning_rate=1e-4), learning_rate=0.0)
    with pytest.raises(UserError, match=r"learning_rate is 0; .*rates=\(\(''"):
        build_game(stage, 1)
