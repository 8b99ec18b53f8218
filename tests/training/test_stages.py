import pytest
from ml_collections import ConfigDict

from tests.training import synthetic
from vqe_jax.errors import UserError
from vqe_jax.training.stages import Rate, Term, changes, parse, plain


def test_keys_become_fields_and_sections_dataclasses():
    plan = parse(
        synthetic.config(
            {
                "name": "a", "steps": 3, "learning_rate": 1, "optimizer": {"betas": (0.9, 0.99)},
                "losses": (("charbonnier", 0.5, {"eps": 1e-9}), ("fft", 0.1), "l1"),
                "rates": (("pre", 0.1), ("post", 0, 5)),
            },
            {"name": "b", "steps": 4, "start": "previous", "schedule": {"name": "cosine"}},
        )
    )  # fmt: skip
    first, second = plan.stages
    assert first.learning_rate == 1.0 and first.optimizer.betas == (0.9, 0.99)
    assert first.losses == (Term("charbonnier", 0.5, {"eps": 1e-9}), Term("fft", 0.1), Term("l1"))
    assert first.rates == (Rate("pre", 0.1), Rate("post", 0.0, 5))
    assert second.schedule.name == "cosine" and plan.first_step(1) == 3
    assert plan.eval.every == 3


STAGE = {"name": "a", "steps": 3}


@pytest.mark.parametrize(
    ("stages", "keys", "message"),
    [
        ([STAGE], {"sede": 1}, "config has no key 'sede'; did you mean 'seed'"),
        ([STAGE | {"stesp": 1}], {}, r"config.stages\[0\] has no key 'stesp'.*'steps'"),
        ([STAGE | {"optimizer": {"beta": 1}}], {}, r"stages\[0\].optimizer has no key.*'betas'"),
        ([STAGE | {"steps": 2.5}], {}, "steps=2.5; expected int"),
        ([STAGE | {"steps": True}], {}, "steps=True; expected int"),
        ([STAGE | {"steps": 0}], {}, "steps=0; expected at least 1"),
        ([{"name": "a"}], {}, "lacks the key 'steps'"),
        ([STAGE | {"optimizer": {"betas": (0.9,)}}], {}, "expected 2 values"),
        ([STAGE | {"losses": (("charbonier", 1.0),)}], {}, "did you mean 'charbonnier'"),
        ([STAGE | {"losses": ()}], {}, "losses is empty"),
        ([STAGE | {"rates": (("a", -1),)}], {}, r"rates\[0\].factor=-1.0; expected"),
        ([STAGE | {"frozen": ("a",)}], {}, r"stages\[0\].frozen is now .*'rates': \(pattern, 0\)"),
        ([STAGE | {"lr_scales": (("a", 0.1),)}], {}, r"lr_scales is now .*\(pattern, factor\)"),
        (
            [STAGE | {"losses": (("l1", 1.0, {}, "picture", 3),)}],
            {},
            "expected a section with name",
        ),
        ([STAGE, STAGE], {}, "taken by an earlier stage"),
        ([STAGE | {"start": "previous"}], {}, "is the first stage"),
        ([STAGE, {"name": "b", "steps": 1, "keep_optimizer": True}], {}, "start='previous'"),
        ([STAGE], {"dtype": "float16"}, "dtype='float16'"),
        ([STAGE], {"eval": {"config_name": 3}}, "config_name=3"),
    ],
)
def test_mistakes_are_one_line(stages, keys, message):
    with pytest.raises(UserError, match=message) as caught:
        parse(synthetic.config(*stages, **keys))
    assert "\n" not in str(caught.value)


def test_no_stage_at_all():
    with pytest.raises(UserError, match="stages is empty"):
        parse(ConfigDict({"model": "vig", "data": {}, "stages": ()}))


def test_changes_of_a_kept_config_are_named_and_defaults_are_none():
    config = {"model": "vig", "data": {"frames": 3}, "stages": [STAGE]}
    run = parse(config)
    assert changes(config, run) == changes(plain(run), run) == []
    run = parse(config | {"seed": 1, "stages": [STAGE | {"ema": 0.5}]})
    assert changes(config, run) == ["seed (0 -> 1)", "stages[0].ema (0.0 -> 0.5)"]
    assert changes({"model": "vig", "old_key": 1}, run)  # what cannot be read is told, not refused
