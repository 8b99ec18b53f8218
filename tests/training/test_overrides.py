import pytest
from ml_collections import ConfigDict

from vqe_jax.errors import UserError
from vqe_jax.training.overrides import apply_override
from vqe_jax.training.stages import parse


def example() -> ConfigDict:
    return ConfigDict(
        {
            "model": "vig",
            "model_kwargs": {"width": 8},
            "data": {"dataset": "clips", "frames": 5},
            "stages": (
                {"name": "a", "steps": 5, "learning_rate": 1e-3, "ema": 0.9},
                {"name": "b", "steps": 5, "start": "previous", "optimizer": {"betas": (0.9, 0.99)}},
            ),
            "eval": None,
            "tensorboard": False,
        }
    )


@pytest.mark.parametrize(
    ("path", "text", "read"),
    [
        ("stages[0].steps", "7", lambda run: run.stages[0].steps == 7),
        ("stages[0].learning_rate", "1", lambda run: run.stages[0].learning_rate == 1.0),
        ("stages[1].optimizer.betas", "(0.8, 0.9)",
         lambda run: run.stages[1].optimizer.betas == (0.8, 0.9)),
        ("stages[0].name", "12", lambda run: run.stages[0].name == "12"),
        ("tensorboard", "true", lambda run: run.tensorboard is True),
        # Keys that the file does not set, but the section has.
        ("seed", "3", lambda run: run.seed == 3),
        ("data.dataset", "('a', 'b')", lambda run: run.data["dataset"] == ("a", "b")),
        ("data.dataset", "(a|b)", lambda run: run.data["dataset"] == "(a|b)"),
        ("data.data_dir", "/x=y", lambda run: run.data["data_dir"] == "/x=y"),
        ("stages[0].schedule.name", "cosine", lambda run: run.stages[0].schedule.name == "cosine"),
        ("stages[0].data.crop", "64", lambda run: run.stages[0].data["crop"] == 64),
        ("checkpoint.keep", "5", lambda run: run.checkpoint.keep == 5),
        ("model_kwargs.lookahead", "1", lambda run: run.model_kwargs["lookahead"] == 1),
        ("eval", "{'every': 5}", lambda run: run.eval.every == 5),
    ],
)  # fmt: skip
def test_a_key_is_set(path, text, read):
    config = example().lock()
    apply_override(config, path, text)
    assert read(parse(config))


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("sede", "1", "config has no key 'sede'; did you mean 'seed'"),
        ("data.frame", "1", "config.data has no key 'frame'.*'frames'"),
        ("stages[0].stesp", "1", r"config.stages\[0\] has no key 'stesp'.*'steps'"),
        ("stages[0].schedule.nam", "1", r"config.stages\[0\].schedule has no key 'nam'.*'name'"),
        ("stages[2].steps", "1", r"config.stages has no item \[2\]"),
        ("stage[0].steps", "1", "config has no key 'stage'; did you mean 'stages'"),
        ("model_kwargs.widht", "1", "config.model_kwargs has no key 'widht'.*'width'"),
        ("stages[0].steps", "many", "steps='many'; expected int, as 5"),
        ("stages[0].steps", "1.5", "steps='1.5'; expected int, as 5"),
        ("tensorboard", "perhaps", "tensorboard='perhaps'; expected bool"),
        ("stages[0]", "1", "items are set by their keys"),
        ("a..b", "1", "is not a path of keys"),
    ],
)  # fmt: skip
def test_mistakes_name_the_near_miss(path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        apply_override(example(), path, text)
    assert "\n" not in str(caught.value)
