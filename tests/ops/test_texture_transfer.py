"""Texture transfer against loops over all pairs of places."""

import jax
import jax.numpy as jnp
import numpy as np

from vqe_jax.ops.texture_transfer import most_relevant, transferred


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _patch(x, i, j):
    wide = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return wide[i : i + 3, j : j + 3].ravel()


def test_relevance_is_the_cosine_of_patches():
    query, key = _random(4, 6, 3), _random(4, 6, 3, seed=1)
    soft, hard = jax.jit(most_relevant)(query, key)
    for i, j in np.ndindex(4, 6):
        one = _patch(query, i, j)
        others = [_patch(key, *place) for place in np.ndindex(4, 6)]
        found = [o @ one / np.linalg.norm(o) / np.linalg.norm(one) for o in others]
        assert int(hard[i, j]) == int(np.argmax(found))
        np.testing.assert_allclose(soft[i, j], max(found), atol=1e-6)


def test_patches_are_put_in_place_and_averaged():
    """At twice the size: patches of 6x6 every 2 pixels, folded as one after the other."""
    value, hard = _random(8, 12, 2), np.random.default_rng(2).integers(0, 24, (4, 6))
    wide = np.pad(value, ((2, 2), (2, 2), (0, 0)))
    known = np.pad(np.ones((8, 12, 1)), ((2, 2), (2, 2), (0, 0)))
    total, count = np.zeros((12, 16, 2)), np.zeros((12, 16, 1))
    for i, j in np.ndindex(4, 6):
        y, x = 2 * (hard[i, j] // 6), 2 * (hard[i, j] % 6)
        total[2 * i : 2 * i + 6, 2 * j : 2 * j + 6] += wide[y : y + 6, x : x + 6]
        count[2 * i : 2 * i + 6, 2 * j : 2 * j + 6] += known[y : y + 6, x : x + 6]
    expected = (total / np.maximum(count, 1))[2:-2, 2:-2]
    found = jax.jit(transferred)(jnp.asarray(value), jnp.asarray(hard))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_frame_gives_itself_its_own_texture():
    features, value = (jnp.asarray(_random(*shape)) for shape in ((5, 4, 6), (20, 16, 2)))
    soft, hard = most_relevant(features, features)
    np.testing.assert_array_equal(hard, np.arange(20).reshape(5, 4))
    np.testing.assert_allclose(soft, 1, atol=1e-5)
    np.testing.assert_allclose(transferred(value, hard), value, atol=1e-6)


def test_the_gradient_goes_through_the_largest_relevance():
    query, key = _random(3, 3, 2), _random(3, 3, 2, seed=1)

    def dense(q, k):
        def unit(x):
            wide = jnp.pad(x, ((1, 1), (1, 1), (0, 0)))
            parts = [wide[i : i + 3, j : j + 3].ravel() for i in range(3) for j in range(3)]
            flat = jnp.stack(parts)
            return flat / jnp.linalg.norm(flat, axis=-1, keepdims=True)

        return (unit(q) @ unit(k).T).max(-1).sum()

    found = jax.grad(lambda q, k: most_relevant(q, k)[0].sum(), (0, 1))(query, key)
    for one, other in zip(found, jax.grad(dense, (0, 1))(query, key), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
