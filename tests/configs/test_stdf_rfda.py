import jax
import pytest

from vqe_jax.models.shapes import initial_variables, parameter_count
from vqe_jax.training.optimizer import rates
from vqe_jax.training.recipes import load
from vqe_jax.training.starts import build_network


@pytest.mark.parametrize(
    ("recipe", "count"),
    [
        ("stdf:default", 364_510),
        ("stdf:r1", 329_842),
        ("stdf:r3l", 1_274_622),
        ("rfda:default", 1_270_430),
        ("rfda:rf", 782_270),
        ("rfda:stdf_r3", 364_510),
    ],
)
def test_variants_have_the_published_sizes(recipe, count):
    run = load(recipe)
    assert parameter_count(run.model, **run.model_kwargs) == count


def test_rfda_trains_its_recursion_ten_times_faster_than_the_rest():
    first, second = load("rfda").stages
    assert first.model_kwargs == {"recursive_fusion": "none"}
    assert (second.start, second.fresh) == ("previous", ("^recursion/",))
    assert second.losses[0].options["reduction"] == "frame_sum"
    run = load("rfda:small")
    network = build_network(run, run.stages[1])
    params = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))["params"]
    own = rates(run.stages[1], params)
    found = {name: {rate.factor for rate in jax.tree.leaves(tree)} for name, tree in own.items()}
    assert found == {"fusion": {0.1}, "enhancement": {0.1}, "recursion": {1.0}}
