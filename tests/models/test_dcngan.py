import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models, weights
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import parameter_count
from vqe_jax.nn.qp_conditioning import QPS
from vqe_jax.weights.conversion import table_of

SMALL = {"features": 8, "blocks": 2}


@pytest.fixture(scope="module")
def golden(shared):
    return dict(np.load(shared / "golden" / "dcngan_ngf8.npz"))


@pytest.fixture(scope="module")
def official(golden):
    return {k.removeprefix("sd/"): v for k, v in golden.items() if k.startswith("sd/")}


@pytest.fixture(scope="module")
def clip(golden):
    return jnp.asarray(golden["in/x"])[..., None]


@pytest.fixture(scope="module")
def qp(golden):
    return jnp.array(QPS)[golden["in/qp"][:, 0]]


def test_parameters():
    assert parameter_count("dcngan") == 45_979_186


def test_golden_generator(golden, official, clip, qp):
    variables = weights.from_torch("dcngan", official, **SMALL)
    network = models.build("dcngan", **SMALL)
    center = jax.jit(lambda v: network.apply(v, clip, qp=qp, method="inner"))(variables)
    wanted = golden["out/y"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(center[:, 0], wanted, atol=1.4e-4, rtol=0)


def test_conversion_returns_the_official_tensors(official):
    back = weights.to_torch("dcngan", weights.from_torch("dcngan", official, **SMALL), **SMALL)
    assert set(back) == {k for k in official if not k.endswith("num_batches_tracked")}
    for name, value in back.items():
        np.testing.assert_array_equal(value, official[name])


def test_official_names(shared):
    lines = (shared / "reference/keys/dcngan_generator.txt").read_text().splitlines()[1:]
    names = {line.split("\t")[0] for line in lines}
    assert {t.names[0] for t in table_of("dcngan").values()} == {
        n for n in names if not n.endswith("num_batches_tracked")
    }


def test_training_uses_and_moves_the_batch_statistics(official, clip, qp):
    network = models.build("dcngan", **SMALL)
    variables = weights.from_torch("dcngan", official, **SMALL)

    def train(v):
        return network.apply(v, clip, qp=qp, train=True, mutable=["batch_stats"], method="inner")

    out, moved = jax.jit(train)(variables)
    assert out.shape == (2, 1, 32, 40, 1)
    still = [
        np.array_equal(a, b)
        for a, b in zip(
            jax.tree.leaves(moved["batch_stats"]),
            jax.tree.leaves(variables["batch_stats"]),
            strict=True,
        )
    ]
    assert not any(still)


def test_qp_is_checked(clip):
    network = models.build("dcngan", **SMALL)
    with pytest.raises(UserError, match="qp is 30"):
        network.check_qp(30)
    qp = jnp.array([37, 23])
    with pytest.raises(UserError, match="qp is 23"):
        jax.eval_shape(lambda k: network.init(k, clip, qp=qp), jax.random.key(0))
