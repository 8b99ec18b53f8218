"""The eight symmetries: numpy's views against rot90 and against dm-pix on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.data.augment import random_symmetries, symmetries
from vqe_jax.data.symmetry import MIRRORS, SYMMETRIES, apply_symmetry

CLIP = np.random.default_rng(0).random((2, 5, 5, 3), np.float32)


def test_all_eight_are_there_and_differ() -> None:
    results = {apply_symmetry(CLIP, s, axis=-3).tobytes() for s in SYMMETRIES}
    turned = [np.rot90(CLIP, k, (1, 2)) for k in range(4)]
    expected = {x.tobytes() for t in turned for x in (t, t[:, :, ::-1])}
    assert len(results) == 8
    assert results == expected


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_nothing_is_copied(symmetry: int) -> None:
    assert np.shares_memory(CLIP, apply_symmetry(CLIP, symmetry, axis=-3))


def test_mirrors_keep_the_shape() -> None:
    wide = CLIP[:, :3]
    assert {apply_symmetry(wide, s, axis=-3).shape for s in MIRRORS} == {wide.shape}


def test_device_agrees_with_host() -> None:
    clips = jnp.asarray(np.stack([CLIP] * 8))
    on_device = np.asarray(symmetries(clips, jnp.arange(8)))
    for symmetry in SYMMETRIES:
        np.testing.assert_array_equal(on_device[symmetry], apply_symmetry(CLIP, symmetry, axis=-3))


def test_an_example_is_turned_as_a_whole() -> None:
    clips = jnp.asarray(np.random.default_rng(1).random((16, 1, 4, 4, 1), np.float32))
    turned = random_symmetries(jax.random.key(3), {"raw": clips, "compressed": 2 * clips})
    np.testing.assert_array_equal(turned["compressed"], 2 * turned["raw"])
    assert not np.array_equal(turned["raw"], clips)
