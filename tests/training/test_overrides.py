import dataclasses

import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.training.overrides import override
from vqe_jax.training.stages import parse, plain


def example():
    return parse(
        {
            "model": "vig",
            "model_kwargs": {"width": 8},
            "data": {"dataset": "clips", "frames": 5},
            "stages": (
                {
                    "name": "a",
                    "steps": 5,
                    "data": {"batch": 4},
                    "model_kwargs": {"scale": 1},
                    "corruption": {"name": "truth_guidance", "ratio": 0.9},
                },
                {"name": "b", "steps": 5, "start": "previous", "optimizer": {"betas": (0.9, 0.99)}},
            ),
        }
    )


@pytest.mark.parametrize(
    ("path", "text", "read", "value"),
    [
        ("stages[0].steps", "7", lambda run: run.stages[0].steps, 7),
        ("stages[0].learning_rate", "1", lambda run: run.stages[0].learning_rate, 1.0),
        ("stages[1].optimizer.betas", "[0.8, 0.9]",
         lambda run: run.stages[1].optimizer.betas, (0.8, 0.9)),
        ("stages[0].name", "12", lambda run: run.stages[0].name, "12"),
        ("stages[0].losses[0].weight", "2", lambda run: run.stages[0].losses[0].weight, 2.0),
        ("stages[0].corruption.ratio", "0.5", lambda run: run.stages[0].corruption["ratio"], 0.5),
        ("tensorboard", "true", lambda run: run.tensorboard, True),
        ("tensorboard", "0", lambda run: run.tensorboard, False),
        ("seed", "3", lambda run: run.seed, 3),
        ("data.dataset", "('a', 'b')", lambda run: run.data["dataset"], "('a', 'b')"),
        ("data.config_name", "('a', 'b')", lambda run: run.data["config_name"], ("a", "b")),
        ("data.crop", "[64, 32]", lambda run: run.data["crop"], (64, 32)),
        ("data.flips", "False", lambda run: run.data["flips"], False),
        ("data.data_dir", "/x=y", lambda run: run.data["data_dir"], "/x=y"),
        ("stages[0].schedule.name", "cosine", lambda run: run.stages[0].schedule.name, "cosine"),
        ("stages[0].data.crop", "64", lambda run: run.stages[0].data["crop"], 64),
        ("checkpoint.keep", "5", lambda run: run.checkpoint.keep, 5),
        ("model_kwargs.lookahead", "1", lambda run: run.model_kwargs["lookahead"], 1),
        ("eval", "{'every': 5}", lambda run: run.eval.every, 5),
        ("eval.every", "5", lambda run: run.eval.every, 5),
        ("eval", "None", lambda run: run.eval, None),
        ("stages[0].options", "{'loss': 'hinge'}", lambda run: run.stages[0].options,
         {"loss": "hinge"}),
    ],
)  # fmt: skip
def test_a_key_is_set_and_nothing_else(path, text, read, value):
    before = example()
    after = override(before, [(path, text)])
    assert read(after) == value and type(read(after)) is type(value)
    assert before == example()
    assert override(before, []) == before


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("sede", "1", "config has no key 'sede'; did you mean 'seed'"),
        ("data.frame", "1", "config.data has no key 'frame'.*'frames'"),
        ("data.frames", "many", "config.data.frames='many'; expected int"),
        ("stages[0].stesp", "1", r"config.stages\[0\] has no key 'stesp'.*'steps'"),
        ("stages[0].schedule.nam", "1", r"config.stages\[0\].schedule has no key 'nam'.*'name'"),
        ("stages[2].steps", "1", r"config.stages has no item \[2\]"),
        ("stages.0.steps", "1", r"config.stages has items: write stages\[0\].KEY=VALUE"),
        ("stage[0].steps", "1", "config has no key 'stage'; did you mean 'stages'"),
        ("model_kwargs.widht", "1", "config.model_kwargs has no key 'widht'.*'width'"),
        ("stages[0].steps", "many", "steps='many'; expected int"),
        ("stages[0].steps", "1.5", "steps=1.5; expected int"),
        ("stages[0].steps", "0", "steps=0; expected at least 1"),
        ("tensorboard", "perhaps", "tensorboard='perhaps'; expected bool"),
        ("stages[0].options.loss", "hinge", r"set it as a whole, as .*={'loss': VALUE}"),
        ("stages[1].corruption.ratio", "1", "set it as a whole, as .*corruption="),
        ("seed.low", "1", "config.seed=0 is a value, not a section"),
        ("stages[0]", "1", "items are set by their keys"),
        ("a..b", "1", "is not a path of keys"),
    ],
)
def test_mistakes_name_the_near_miss(path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        override(example(), [(path, text)])
    assert "\n" not in str(caught.value)


def test_a_networks_own_sections_are_reached_and_stay_plain():
    before = parse({"model": "pequenet", "data": {}, "stages": [{"name": "a", "steps": 1}]})
    for run in (
        override(before, [("model_kwargs.conditioning.interpolate", "True")]),
        override(before, [("model_kwargs.conditioning", "{'interpolate': True}")]),
        override(
            dataclasses.replace(before, model_kwargs={"conditioning": {"qps": (32, 37)}}),
            [("model_kwargs.conditioning.interpolate", "True")],
        ),
    ):
        assert run.model_kwargs["conditioning"]["interpolate"] is True
        assert parse(plain(run)) == run and models.build("pequenet", **run.model_kwargs)
    with pytest.raises(UserError, match=r"conditioning has no key 'interpolat'.*'interpolate'"):
        override(before, [("model_kwargs.conditioning.interpolat", "True")])


def test_a_key_that_a_stage_hides_names_the_stages_own():
    for path in ("data.batch", "model_kwargs.scale"):
        with pytest.raises(UserError, match=rf"hidden .* set --config.stages\[0\].{path}"):
            override(example(), [(path, "2")])
    run = override(example(), [("data.batch", "2"), ("stages[0].data.batch", "1")])
    assert (run.data["batch"], run.stages[0].data["batch"]) == (2, 1)
    assert override(example(), [("data.batch", "4")]).data["batch"] == 4  # as the stage has it


def test_a_run_survives_json():
    run = override(example(), [("eval.config_name", "('qp32', 'qp37')")])
    assert parse(plain(run)) == run
    assert dataclasses.replace(run, seed=1) != parse(plain(run))
