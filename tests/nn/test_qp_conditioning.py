from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.pequenet import QPHead
from vqe_jax.models.shapes import variable_shapes
from vqe_jax.nn.qp_conditioning import (
    QPS,
    Conditioning,
    QPConditioning,
    QPScale,
    check_qp,
    qp_weights,
)


def test_trained_qps_are_one_hot():
    for interpolate in (False, True):
        weights = qp_weights(jnp.array(QPS), interpolate=interpolate)
        np.testing.assert_array_equal(weights, np.eye(4, dtype=np.float32))


def test_interpolated_weights_average_to_the_qp():
    qp = np.arange(22, 38)
    weights = np.asarray(qp_weights(jnp.asarray(qp, jnp.int32), interpolate=True))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    assert ((weights > 0).sum(axis=1) <= 2).all()
    np.testing.assert_allclose(weights @ np.array(QPS), qp, rtol=1e-6)


@pytest.mark.parametrize("qp", [24, 21, 38])
def test_compiled_functions_mark_a_qp_that_is_not_trained(qp):
    assert np.isnan(jax.jit(qp_weights)(jnp.array([22, qp]))[1]).all()
    assert not np.isnan(jax.jit(qp_weights)(jnp.array([22, qp]))[0]).any()


@pytest.mark.parametrize(
    ("qp", "interpolate", "said"),
    [
        (24, False, "qp is 24, expected one of 22, 27, 32, 37"),
        ([37, 35], False, "qp is 35"),
        (40, True, "qp is 40, expected 22 to 37"),
        (None, False, "qp is missing"),
    ],
)
def test_qps_that_are_refused(qp, interpolate, said):
    with pytest.raises(UserError, match=said):
        check_qp(qp, interpolate=interpolate)


def test_interpolation_accepts_what_lies_between():
    check_qp([22, 24, 35, 37], interpolate=True)


def test_golden_vector(shared):
    golden = np.load(shared / "golden" / "peq_qenet_in128.npz")
    dense = {"kernel": golden["sd/fc.0.weight"].T, "bias": golden["sd/fc.0.bias"]}
    qp = jnp.array(QPS)[golden["in/qp"][:, 0]]
    vector = QPConditioning(64).apply({"params": {"dense": dense}}, qp)
    np.testing.assert_allclose(vector, golden["out/qpvec"], atol=5.1e-5, rtol=0)


def test_factors_of_an_interpolated_qp_lie_between_its_neighbours():
    module = QPConditioning(16, interpolate=True)
    low, middle, high = module.init_with_output(jax.random.key(0), jnp.array([22, 24, 27]))[0]
    assert bool(((low - middle) * (middle - high) > 0).all())
    assert bool((middle > 0).all())


def test_scale_acts_by_channel_and_clip():
    x = jax.random.normal(jax.random.key(1), (2, 3, 4, 5, 6))
    module = QPScale()
    out, variables = module.init_with_output(jax.random.key(0), x, jnp.array([22, 37]))
    ratio = np.asarray(out / x)
    assert np.ptp(ratio, axis=(1, 2, 3)).max() < 1e-5
    assert np.abs(ratio[0, 0, 0, 0] - ratio[1, 0, 0, 0]).max() > 1e-2
    with pytest.raises(UserError, match="qp is 30"):
        module.apply(variables, x, jnp.array([30, 37]))


SMALL = {
    "vig": {"width": 4, "down_widths": (4, 4, 4)},
    "stdf": {"radius": 1, "features": 4, "qe_features": 4, "qe_depth": 3, "depth": 1},
}


@pytest.mark.parametrize("name", SMALL)
def test_other_networks_take_the_qp(name):
    options = SMALL[name]
    network = models.build(name, conditioning={}, **options)
    with pytest.raises(UserError, match="qp is 30"):
        network.check_qp(30)
    shapes = variable_shapes(name, conditioning={}, **options)
    added = set(shapes) - set(variable_shapes(name, **options))
    assert added == {f"params/qp_scale/conditioning/dense/{leaf}" for leaf in ("kernel", "bias")}
    clip = jnp.zeros((2, 3, 8, 8, 1))
    with pytest.raises(UserError, match="qp is missing"):
        jax.eval_shape(lambda key: network.init(key, clip), jax.random.key(0))


def _between(low, middle, high):
    """How far along the way from one result to another a third one is."""
    way = np.asarray(high - low, np.float64).ravel()
    return float(np.asarray(middle - low, np.float64).ravel() @ way / (way @ way))


def _head_results(key):
    """PeQuENet's head on the same features at three QPs."""
    x = jax.random.normal(jax.random.key(7), (1, 6, 8, 8))
    head = QPHead(8, conditioning=Conditioning(interpolate=True))
    qps = jnp.array([32, 34, 37])
    return head.init_with_output(key, jnp.repeat(x, 3, axis=0), qps)[0]


def _network_results(name, key):
    """What one network, conditioned on the QP, adds to the same clip at three QPs."""
    network = models.build(name, conditioning={"interpolate": True}, **SMALL[name])
    clip = jnp.repeat(jax.random.uniform(jax.random.key(7), (1, 3, 8, 8, 1)), 3, axis=0)
    return network.init_with_output(key, clip, qp=jnp.array([32, 34, 37]))[0] - clip


@pytest.mark.parametrize("name", ["pequenet", *SMALL])
def test_an_in_between_qp_gives_an_in_between_result_on_average(name):
    """The factors are monotone between two trained QPs; what follows them bends the way a little.

    Taking the nearest QP in place of interpolating gives 0, extrapolating more than 1; a share by
    the distance in QP, (34 - 32) / (37 - 32), is what a network without nonlinearities would give.
    """
    results = jax.jit(_head_results if name == "pequenet" else partial(_network_results, name))
    places = [_between(*results(jax.random.key(seed))) for seed in range(5)]
    assert all(0 < place < 1 for place in places)
    assert np.mean(places) == pytest.approx(0.4, abs=0.1)
