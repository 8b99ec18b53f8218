import jax
import pytest

from configs import rfda, stdf
from vqe_jax.data.pipeline import DataConfig
from vqe_jax.models.shapes import initial_variables, parameter_count
from vqe_jax.training.optimizer import lr_factors
from vqe_jax.training.stages import parse
from vqe_jax.training.starts import build_network

VARIANTS = [
    *((stdf, v) for v in ("default", "qp22", "qp42", "r1", "r3l", "rgb", "clips", "small")),
    *((rfda, v) for v in ("paper", "stdf_r4", "dsta", "one_stage")),
    *((rfda, v) for v in ("no_deformable", "no_channel", "rf15", "conv_lstm", "clips")),
]  # fmt: skip


@pytest.mark.parametrize(("module", "variant"), VARIANTS)
def test_variants_are_runs(module, variant):
    config = module.get_config(variant)
    config.model_kwargs.update(qe_depth=3)  # more take long to trace
    run = parse(config)
    for stage in run.stages:
        DataConfig(**{**run.data, **stage.data})
        network = build_network(run, stage)
        shapes = jax.eval_shape(lambda k, n=network: initial_variables(n, k), jax.random.key(0))
        lr_factors(stage, shapes["params"])  # patterns that match nothing are errors


@pytest.mark.parametrize(
    ("module", "variant", "count"),
    [
        (stdf, "default", 364_510),
        (stdf, "r1", 329_842),
        (stdf, "r3l", 1_274_622),
        (rfda, "default", 1_270_430),
        (rfda, "rf", 782_270),
        (rfda, "stdf_r3", 364_510),
    ],
)
def test_variants_have_the_published_sizes(module, variant, count):
    run = parse(module.get_config(variant))
    assert parameter_count(run.model, **run.model_kwargs) == count


def test_rfda_trains_its_recursion_ten_times_faster_than_the_rest():
    first, second = parse(rfda.get_config()).stages
    assert first.model_kwargs == {"recursive_fusion": "none"}
    assert (second.start, second.fresh) == ("previous", ("^recursion/",))
    assert second.losses[0].options["reduction"] == "frame_sum"
    run = parse(rfda.get_config("small"))
    network = build_network(run, run.stages[1])
    params = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))["params"]
    factors = lr_factors(run.stages[1], params)
    found = {name: set(jax.tree.leaves(tree)) for name, tree in factors.items()}
    assert found == {"fusion": {0.1}, "enhancement": {0.1}, "recursion": {1.0}}
