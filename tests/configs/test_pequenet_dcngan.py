import pytest

from configs import dcngan, pequenet
from vqe_jax import models
from vqe_jax.data.pipeline import DataConfig
from vqe_jax.models.shapes import parameter_count
from vqe_jax.training.game import Options, read_options
from vqe_jax.training.objective import build_objective
from vqe_jax.training.stages import Term, parse

VARIANTS = [
    *((pequenet, v) for v in {*pequenet._MODELS, *pequenet._LOSSES, *pequenet._OPTIONS}),
    *((pequenet, v) for v in pequenet._OTHERS),
    (dcngan, "default"),
    (dcngan, "small"),
]


def test_variants_are_runs():
    for module, variant in VARIANTS:
        run = parse(module.get_config(variant))
        models.build(run.model, **run.model_kwargs)
        for stage in run.stages:
            DataConfig(**{**run.data, **stage.data})
            build_objective(stage)
            if stage.kind == "adversarial":
                read_options(stage, 1)
            else:
                assert variant == "vgg_only"


def test_the_default_is_the_released_recipe():
    for module, count in ((pequenet, 26_329_281), (dcngan, 45_979_186)):
        run = parse(module.get_config())
        (stage,) = run.stages
        assert parameter_count(run.model, **run.model_kwargs) == count
        assert (stage.steps, stage.learning_rate, run.data["batch"]) == (300_000, 1e-4, 32)
        assert (run.data["frames"], run.data["crop"], run.seed) == (3, 128, 7)
        assert run.data["config_name"] == ("qp22", "qp27", "qp32", "qp37")
        assert stage.losses == (Term("vgg_pyramid", 10.0),)
        options, discriminator = read_options(stage, 1)
        assert (options.loss, options.weight, options.feature_matching) == ("lsgan", 1.0, 10.0)
        assert (options.penalty, stage.ema, discriminator.features) == (None, 0.0, 32)
        assert options == Options()


def test_ablations_differ_in_their_parts():
    kwargs = [
        parse(pequenet.get_config(f"ablation_{letter}")).model_kwargs for letter in "abcdefghi"
    ]
    assert len({str(k) for k in kwargs}) == 9
    assert parameter_count("pequenet", **kwargs[8]) == 26_329_281
    # Without all attention and the layer that reads the QP.
    without = 26_329_281 - 1_182_208 - (4 * 64 + 64)
    assert parameter_count("pequenet", **kwargs[0]) == without


def test_unknown_variant_is_said():
    for module in (pequenet, dcngan):
        with pytest.raises(ValueError, match="not one of"):
            module.get_config("large")
