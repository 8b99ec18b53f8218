import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.nn.recurrence import scan_time


class Cell(nn.Module):
    @nn.compact
    def __call__(self, state, x):
        state = jnp.tanh(nn.Dense(3, name="dense")(jnp.concatenate([state, x], -1)))
        return state, 2 * state


class Loop(nn.Module):
    reverse: bool = False
    remat: bool = True
    unroll: int | None = None

    def setup(self):
        self.cell = Cell()

    def __call__(self, xs):
        state = jnp.zeros((xs.shape[0], 3))
        options = {"reverse": self.reverse, "remat": self.remat, "unroll": self.unroll}
        return scan_time(self.cell, state, xs, **options)


XS = jax.random.normal(jax.random.key(0), (2, 5, 3))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("options", [{}, {"remat": False}, {"unroll": 1}])
def test_it_is_the_loop(reverse, options):
    network = Loop(reverse, **options)
    (last, outputs), variables = network.init_with_output(jax.random.key(1), XS)
    state, made = jnp.zeros((2, 3)), {}
    for t in reversed(range(5)) if reverse else range(5):
        state, made[t] = Cell().apply({"params": variables["params"]["cell"]}, state, XS[:, t])
    np.testing.assert_allclose(last, state, atol=1e-6)
    np.testing.assert_allclose(outputs, jnp.stack([made[t] for t in range(5)], 1), atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 5, 33])
def test_short_clips_have_no_loop_on_the_cpu(length):
    xs = jnp.zeros((1, length, 3))
    variables = Loop().init(jax.random.key(1), xs)
    program = jax.jit(Loop().apply).lower(variables, xs).as_text()
    assert ("stablehlo.while" in program) == (length > 32)


def test_the_size_of_the_state_is_sown_where_somebody_listens():
    variables = Loop().init(jax.random.key(1), XS)
    assert set(variables) == {"params"}
    (last, _), sown = Loop().apply(variables, XS, mutable=["metrics"])
    (norm,) = jax.tree.leaves(sown["metrics"])
    assert float(norm) == pytest.approx(float(jnp.sqrt(jnp.mean(last**2))), rel=1e-5)
