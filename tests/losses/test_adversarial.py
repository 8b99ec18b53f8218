import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.losses.adversarial import (
    adversarial,
    feature_matching,
    gradient_penalty,
    interpolated_gradient_penalty,
)

NAMES = ["lsgan", "ragan", "rsgan", "hinge"]


def _scores(seed):
    return jax.random.normal(jax.random.key(seed), (2, 3, 4, 1))


def _cross_entropy(score, label):
    probability = 1 / (1 + np.exp(-np.asarray(score, np.float64)))
    return -np.mean(np.log(probability if label else 1 - probability))


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        (
            "lsgan",
            lambda r, f: (np.mean(f**2) + np.mean((r - 1) ** 2)) / 2,
            lambda r, f: np.mean((f - 1) ** 2),
        ),
        (
            "ragan",
            lambda r, f: (_cross_entropy(r - f.mean(), 1) + _cross_entropy(f - r.mean(), 0)) / 2,
            lambda r, f: (_cross_entropy(f - r.mean(), 1) + _cross_entropy(r - f.mean(), 0)) / 2,
        ),
        ("rsgan", lambda r, f: _cross_entropy(r - f, 1), lambda r, f: _cross_entropy(f - r, 1)),
        (
            "hinge",
            lambda r, f: np.mean(np.maximum(0, 1 - r)) + np.mean(np.maximum(0, 1 + f)),
            lambda r, f: -np.mean(f),
        ),
    ],
)
def test_values_from_the_definitions(name, discriminator, generator):
    game = adversarial(name)
    real, fake = _scores(0), _scores(1)
    r, f = np.asarray(real, np.float64), np.asarray(fake, np.float64)
    assert float(game.discriminator(real, fake)) == pytest.approx(discriminator(r, f), rel=1e-5)
    assert float(game.generator(real, fake)) == pytest.approx(generator(r, f), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_two_sides_pull_fake_scores_apart(name):
    game = adversarial(name)
    real, fake = _scores(0), 0.1 * _scores(1)
    up = jax.grad(lambda f: game.generator(real, f))(fake).sum()
    down = jax.grad(lambda f: game.discriminator(real, f))(fake + 0.5).sum()
    assert up < 0 < down
    ignored = jax.grad(lambda r: game.generator(r, fake))(real)
    assert bool(jnp.any(ignored != 0)) == game.relative


def test_unknown_name():
    with pytest.raises(UserError, match="'lsgan'"):
        adversarial("lsgna")


def test_feature_matching_is_a_sum_of_means_and_spares_the_real_side():
    real, fake = (jnp.zeros((1, 2, 2, 3)), jnp.ones((1, 1, 1, 4))), (
        jnp.full((1, 2, 2, 3), 0.5),
        jnp.full((1, 1, 1, 4), -1.0),
    )  # fmt: skip
    assert float(feature_matching(real, fake)) == pytest.approx(2.5)
    gradient = jax.grad(lambda r: feature_matching(r, fake))(real)
    assert all(bool((g == 0).all()) for g in gradient)


def test_gradient_penalties_of_a_linear_score():
    slope = jax.random.normal(jax.random.key(3), (1, 4, 5, 1))
    real, fake = jnp.zeros((2, 4, 5, 1)), jnp.ones((2, 4, 5, 1))

    def score(x):
        return (x * slope).sum((1, 2, 3))

    norm = float(jnp.sqrt(jnp.square(slope).sum()))
    assert float(gradient_penalty(score, real)) == pytest.approx(norm**2, rel=1e-5)
    penalty = interpolated_gradient_penalty(jax.random.key(0), score, real, fake)
    assert float(penalty) == pytest.approx((norm - 1) ** 2, rel=1e-4)
