import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import weights
from vqe_jax.errors import UserError
from vqe_jax.nn.patchgan import PatchDiscriminator
from vqe_jax.weights.official.patchgan import variable_shapes


@pytest.fixture(scope="module")
def golden(shared):
    return dict(np.load(shared / "golden" / "gan_discriminator_d32.npz"))


def _tensors(golden):
    return {k.removeprefix("sd/"): v for k, v in golden.items() if k.startswith("sd/")}


def _nhwc(x):
    return jnp.asarray(x.transpose(0, 2, 3, 1))


def test_parameters():
    shapes = variable_shapes()
    assert sum(math.prod(s) for p, s in shapes.items() if p.startswith("params/")) == 694_113


def test_golden_scores_maps_and_statistics(golden):
    variables = weights.from_torch("patchgan", _tensors(golden))
    frames = _nhwc(golden["in/x"])
    network = PatchDiscriminator()
    score, _ = network.apply(variables, frames)
    np.testing.assert_allclose(score, _nhwc(golden["out/eval_pred"]), atol=3.7e-6, rtol=0)
    (score, maps), changed = network.apply(variables, frames, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(score, _nhwc(golden["out/train_pred"]), atol=3.4e-5, rtol=0)
    for i, tolerance in enumerate((1.8e-5, 1e-5, 1.2e-5, 1.4e-5)):
        mean = maps[i].mean((1, 2))
        np.testing.assert_allclose(mean, golden[f"out/train_fm{i}_mean"], atol=tolerance, rtol=0)
    np.testing.assert_allclose(maps[3], _nhwc(golden["out/train_fm3"]), atol=9.2e-5, rtol=0)
    for i in (2, 3, 4):
        statistics = changed["batch_stats"][f"norm{i}"]
        for name, tolerance in (("mean", 3.9e-6), ("var", 2.7e-5)):
            wanted = golden[f"out/after_train/conv{i}_bn.running_{name}"]
            np.testing.assert_allclose(statistics[name], wanted, atol=tolerance, rtol=0)


def test_conversion_returns_the_official_tensors(golden):
    official = _tensors(golden)
    back = weights.to_torch("patchgan", weights.from_torch("patchgan", official))
    assert set(back) == {k for k in official if not k.endswith("num_batches_tracked")}
    for name, value in back.items():
        np.testing.assert_array_equal(value, official[name])


def test_receptive_field_is_94_pixels():
    network = PatchDiscriminator(features=1)
    frames = jax.random.uniform(jax.random.key(1), (1, 128, 128, 1))
    variables = jax.jit(network.init)(jax.random.key(0), frames)

    def center(x):
        return network.apply(variables, x)[0][0, 2, 2, 0]

    rows = np.abs(jax.jit(jax.grad(center))(frames)[0, :, :, 0]).sum(axis=1).nonzero()[0]
    assert rows[-1] - rows[0] + 1 == 94


def test_statistics_are_those_of_the_whole_batch_over_devices():
    network = PatchDiscriminator(features=2)
    frames = jax.random.uniform(jax.random.key(1), (8, 64, 64, 1))
    variables = jax.jit(network.init)(jax.random.key(0), frames)

    def apply(x):
        return network.apply(variables, x, train=True, mutable=["batch_stats"])

    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    split = jax.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    one, many = jax.jit(apply)(frames), jax.jit(apply)(jax.device_put(frames, split))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), one, many)


@pytest.mark.parametrize(("shape", "said"), [((1, 63, 80, 1), "80x63"), ((1, 64, 64, 3), "3")])
def test_frames_it_cannot_judge(shape, said):
    with pytest.raises(UserError, match=said):
        PatchDiscriminator(features=2).init(jax.random.key(0), jnp.zeros(shape))
