from vqe_jax.models.shapes import parameter_count
from vqe_jax.training.game import Options, read_options
from vqe_jax.training.objective import build_objective
from vqe_jax.training.recipes import load
from vqe_jax.training.stages import Term


def test_adversarial_stages_have_options_that_exist():
    recipes = ("pequenet:ragan", "pequenet:no_matching", "pequenet:small", "dcngan", "dcngan:small")
    for (stage,) in (load(name).stages for name in recipes):
        build_objective(stage)
        assert stage.kind == "adversarial" and read_options(stage, 1)
    assert load("pequenet:vgg_only").stages[0].kind == "plain"


def test_the_default_is_the_released_recipe():
    for name, count in (("pequenet", 26_329_281), ("dcngan", 45_979_186)):
        run = load(name)
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
    kwargs = [load(f"pequenet:ablation_{letter}").model_kwargs for letter in "abcdefghi"]
    assert len({str(k) for k in kwargs}) == 9
    assert parameter_count("pequenet", **kwargs[8]) == 26_329_281
    # Without all attention and the layer that reads the QP.
    without = 26_329_281 - 1_182_208 - (4 * 64 + 64)
    assert parameter_count("pequenet", **kwargs[0]) == without
