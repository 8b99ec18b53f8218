"""Turns on the device against the symmetries of the square on the host."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.data.augment import random_symmetries, symmetries
from vqe_jax.symmetry import MIRRORS, SYMMETRIES, TURNS, apply_symmetry, inverse_symmetry

CLIP = np.random.default_rng(0).random((2, 5, 5, 3), np.float32)


def test_all_eight_are_there_and_differ() -> None:
    results = {apply_symmetry(CLIP, s, axis=-3).tobytes() for s in SYMMETRIES}
    turned = [np.rot90(CLIP, k, (1, 2)) for k in range(4)]
    expected = {x.tobytes() for t in turned for x in (t, t[:, :, ::-1])}
    assert len(results) == 8
    assert results == expected
    assert {apply_symmetry(CLIP, s, axis=-3).tobytes() for s in TURNS} == {
        t.tobytes() for t in turned
    }


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_views_that_can_be_undone(symmetry: int) -> None:
    turned = apply_symmetry(CLIP, symmetry, axis=-3)
    assert np.shares_memory(CLIP, turned)
    back = apply_symmetry(turned, inverse_symmetry(symmetry), axis=-3)
    np.testing.assert_array_equal(back, CLIP)
    np.testing.assert_array_equal(apply_symmetry(jnp.asarray(CLIP), symmetry, axis=-3), turned)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_device_agrees_with_host(dtype: type) -> None:
    clip = (CLIP * 255).astype(dtype)
    on_device = np.asarray(jax.jit(symmetries)(jnp.asarray(np.stack([clip] * 8)), jnp.arange(8)))
    assert on_device.dtype == dtype
    for symmetry in SYMMETRIES:
        np.testing.assert_array_equal(on_device[symmetry], apply_symmetry(clip, symmetry, axis=-3))


def test_oblong_pictures_are_mirrored() -> None:
    wide = jnp.asarray(np.stack([CLIP[:, :3]] * 4))
    on_device = symmetries(wide, jnp.arange(4))
    for symmetry in MIRRORS:
        expected = apply_symmetry(CLIP[:, :3], symmetry, axis=-3)
        np.testing.assert_array_equal(on_device[symmetry], expected)


def test_an_example_is_turned_as_a_whole() -> None:
    clips = jnp.asarray(np.random.default_rng(1).random((16, 1, 4, 4, 1), np.float32))
    batch = {"raw": clips, "compressed": 2 * clips[:, [0, 0]], "qp": jnp.arange(16)}
    turned = random_symmetries(batch, jax.random.key(3))
    np.testing.assert_array_equal(turned["compressed"][:, 1:], 2 * turned["raw"])
    np.testing.assert_array_equal(turned["qp"], batch["qp"])
    found = [
        [s for s in SYMMETRIES if np.array_equal(apply_symmetry(a, s, axis=-3), b)]
        for a, b in zip(clips, turned["raw"], strict=True)
    ]
    assert len({s[0] for s in found}) > 3
    again = random_symmetries(batch, jax.random.key(3))
    np.testing.assert_array_equal(again["raw"], turned["raw"])
    assert random_symmetries(batch, jax.random.key(3), allowed=(0,)) is batch


def test_only_what_is_allowed_is_drawn() -> None:
    clips = jnp.asarray(np.stack([CLIP] * 64))
    turned = random_symmetries({"raw": clips}, jax.random.key(0), allowed=TURNS)["raw"]
    expected = {apply_symmetry(CLIP, s, axis=-3).tobytes() for s in TURNS}
    assert {np.asarray(t).tobytes() for t in turned} == expected
