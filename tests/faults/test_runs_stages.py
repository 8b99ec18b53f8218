"""Mistakes in a later stage are told before the first step of the first."""

import jax
import numpy as np
import pytest

from tests.training import synthetic
from tests.training.conftest import tiny  # noqa: F401
from tests.training.test_loop import log, train
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import initial_variables
from vqe_jax.training.stages import parse
from vqe_jax.weights import ModelFile, save_model

pytestmark = pytest.mark.usefixtures("tiny")

FIRST = {"name": "first", "steps": 2, "learning_rate": 1e-3}


def second(**keys):
    return {"name": "second", "steps": 2, "learning_rate": 1e-3, "start": "previous", **keys}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"optimizer": {"name": "adma"}}, r"optimizer 'adma' does not exist"),
        ({"schedule": {"name": "cosin"}}, r"schedule 'cosin' does not exist"),
        ({"schedule": {"name": "cosine", "periods": (1, 1), "restart_scales": (1.0,)}}, "periods"),
        ({"rates": (("encoder", 0),)}, "rates: no parameter's path matches 'encoder'"),
        ({"rates": (("(", 1),)}, "not a regular expression"),
        ({"rates": (("last", -1),)}, "rates.*at least 0"),
        ({"corruption": {"name": "truth_guidance", "pach": 3}}, "'pach'.*'patch'"),
        ({"losses": (("charbonier", 1.0),)}, "'charbonier'"),
        ({"losses": (("l1", 1.0, {}, "aligned"),)}, "aligned"),
        ({"start": "nowhere.safetensors"}, "nowhere.safetensors is missing"),
        ({"start": "vig_qp73"}, "neither a file nor a packaged model"),
        ({"start": "vig_qp37"}, "holds 'vig', expected 'tiny'"),
        ({"model_kwargs": {"features": 8}}, "is .* in stage 'first', but"),
        ({"model_kwargs": {"featrues": 8}}, "no field 'featrues'"),
        ({"parts": (("last", "frist"),)}, "parts .*frist"),
        ({"data": {"batch": 3}}, "batch of 3 does not divide among 2 devices"),
        ({"data": {"cropp": 3}}, "no key 'cropp'"),
        ({"data": {"color": "rgb"}}, "channels=1, but data.color='rgb'"),
        ({"keep_optimizer": True, "optimizer": {"name": "sgd"}}, "keep_optimizer, but"),
        ({"keep_optimizer": True, "rates": (("last", 0),)}, "keep_optimizer, but"),
        ({"init": (("nothing", "zeros"),), "start": "scratch"}, "init: no parameter's path"),
        ({"kind": "adversarial", "options": {"discriminator": {"wdith": 3}}}, "'wdith'"),
        ({"kind": "adversarial", "options": {"penalty": "r3"}}, "penalty"),
        ({"options": {"loss": "lsgan"}}, "plain step has no options"),
        ({"kind": "adversarial", "data": {"crop": 32}}, "discriminator got frames of 32x32"),
    ],
)
def test_a_mistake_in_the_second_stage_is_told_at_once(tmp_path, keys, message):
    with pytest.raises(UserError, match=message) as caught:
        train(tmp_path / "w", FIRST, second(**keys), devices=2)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "w").exists()


def test_a_third_stage_from_the_first_and_one_from_a_file(tmp_path, monkeypatch):
    network = synthetic.Tiny()

    kept = {
        k: v
        for k, v in initial_variables(network, jax.random.key(1)).items()
        if k in ("params", "batch_stats")
    }
    model = ModelFile("tiny", {}, jax.tree.map(np.asarray, kept))
    save_model(tmp_path / "given.safetensors", model)
    stages = (
        FIRST,
        second(start=str(tmp_path / "given.safetensors"), ema=0.5),
        {**second(start="first"), "name": "third"},
    )
    outcome, _ = train(tmp_path / "w", *stages, eval=None)
    assert outcome.finished and len(log(tmp_path / "w", "train")) == 6
    # A run in its last stage does not ask for what the earlier ones began with.
    (tmp_path / "given.safetensors").unlink()
    longer = (*stages[:2], {**stages[2], "steps": 3})
    assert train(tmp_path / "w", *longer, eval=None)[0].step == 7


class ShortClips(synthetic.Waves):
    """Refuses clips of more than four frames."""

    @staticmethod
    def batches(config, **keys):
        if config.frames > 4:
            raise UserError("clips have no crop of 9 frames")
        return synthetic.Batches(config, **keys)


def test_data_of_a_later_stage_is_opened_before_the_first_step(tmp_path):
    with pytest.raises(UserError, match="no crop of 9 frames"):
        train(
            tmp_path / "w", FIRST, second(data={"frames": 9, "dataset": f"{__name__}:ShortClips"})
        )
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("log_every", 0), ("log_every", -3), ("max_skipped", 0), ("seed", -1), ("seed", 2**64),
        ("checkpoint.keep", 0), ("checkpoint.every", -1), ("eval.every", -5), ("eval.frames", 0),
        ("eval.worst_weight", 1.5), ("stages.0.ema", 1.0), ("stages.0.ema", -0.1),
        ("stages.0.learning_rate", -1e-3), ("stages.0.learning_rate", float("inf")),
        ("stages.0.learning_rate", float("nan")), ("stages.1.steps", 0),
        ("stages.1.optimizer", {"clip_norm": 0.0}), ("stages.1.optimizer", {"betas": (0.9, 1.0)}),
        ("stages.1.optimizer", {"eps": -1e-8}), ("stages.1.schedule", {"warmup": -1}),
        ("stages.1.schedule", {"fractions": (0.5, 1.5)}), ("stages.1.rates", (("x", -1.0),)),
        ("stages.1.losses", (("l2", float("nan")),)),
        ("stages.1.losses", (("l2", {"values": (1.0, float("inf")), "steps": (0, 9)}),)),
    ],
)  # fmt: skip
def test_numbers_that_no_run_can_have(path, value):
    stage = {"name": "a", "steps": 3, "learning_rate": 1e-3}
    config = {
        "model": "tiny",
        "data": {},
        "eval": {},
        "stages": [dict(stage), stage | {"name": "b"}],
    }
    place, keys = config, path.split(".")
    for key in keys[:-1]:
        place = place[int(key)] if key.isdigit() else place.setdefault(key, {})
    place[keys[-1]] = value
    with pytest.raises(UserError, match=r"expected (at least|more than|a finite)") as caught:
        parse(config)
    assert keys[-1] in str(caught.value) and "\n" not in str(caught.value)
