"""Block matching against brute force in float64; cutting and joining of blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.ops.block_matching import block_corners, blocks_at, joined_blocks, match_blocks


def _brute(frame, block, corner, search=None, slack=0.0):
    """All places one after the other; of those equal within the slack the nearest."""
    size = block.shape[0]
    found = []
    for y, x in np.ndindex(frame.shape[0] - size + 1, frame.shape[1] - size + 1):
        if search is not None and max(abs(y - corner[0]), abs(x - corner[1])) > search:
            continue
        piece = frame[y : y + size, x : x + size].astype(np.float64)
        away = (y - corner[0]) ** 2 + (x - corner[1]) ** 2
        found.append((((piece - block) ** 2).mean(), away, (y, x)))
    least = min(f[0] for f in found)
    return min((f for f in found if f[0] <= least + slack), key=lambda f: f[1])[2]


def _frames(seed=0, shape=(19, 23, 3)):
    """8-bit pictures: noise, and the same moved and disturbed."""
    rng = np.random.default_rng(seed)
    one = rng.integers(0, 256, shape)
    two = np.roll(one, (2, -3), (0, 1)) + rng.integers(-20, 21, shape)
    return (np.clip(x, 0, 255).astype(np.float32) / 255 for x in (one, two))


@pytest.mark.parametrize("method", ["fft", "conv"])
@pytest.mark.parametrize("search", [None, 2, 5])
def test_matches_are_those_of_brute_force(method, search):
    now, other = _frames()
    corners = block_corners(19, 23, 6, 5)
    blocks = blocks_at(jnp.asarray(now), corners, 6)
    run = jax.jit(lambda f, b: match_blocks(f, b, corners, search=search, method=method))
    found = np.asarray(run(jnp.asarray(other), blocks))
    pairs = zip(np.asarray(blocks), corners, strict=True)
    expected = [_brute(other, block, corner, search) for block, corner in pairs]
    np.testing.assert_array_equal(found, expected)
    assert len({tuple(f - c) for f, c in zip(found, corners, strict=True)}) > 1


@pytest.mark.parametrize("method", ["fft", "conv"])
def test_the_nearest_of_equals_is_taken(method):
    """Flat and periodic pictures match in many places; a still one matches where it is."""
    stripes = np.tile(np.arange(4) / 4, (16, 5)).astype(np.float32)[..., None]
    flat = np.full_like(stripes, 0.9)
    corners = np.array([[0, 0], [5, 9], [10, 14]])
    for frame in (stripes, flat):
        blocks = blocks_at(jnp.asarray(frame), corners, 6)
        found = match_blocks(jnp.asarray(frame), blocks, corners, method=method)
        np.testing.assert_array_equal(found, corners)
    moved = np.roll(stripes, 1, axis=1)
    blocks = blocks_at(jnp.asarray(stripes), corners, 6)
    found = match_blocks(jnp.asarray(moved), blocks, corners, method=method)
    expected = [
        _brute(moved, np.asarray(b), c, slack=1e-6) for b, c in zip(blocks, corners, strict=True)
    ]
    np.testing.assert_array_equal(found, expected)


def test_no_gradient_goes_through_a_search():
    now, other = (jnp.asarray(x) for x in _frames(shape=(8, 8, 1)))
    corners = block_corners(8, 8, 4, 4)

    def read(frame):
        found = match_blocks(frame, blocks_at(now, corners, 4), corners, method="fft")
        return jnp.sum(blocks_at(frame, found, 4))

    gradient = jax.grad(read)(other)
    assert set(np.unique(gradient)) <= {0.0, 1.0, 2.0, 3.0, 4.0} and float(gradient.sum()) == 64


@pytest.mark.parametrize(("height", "width", "stride"), [(9, 14, 3), (6, 6, 6), (13, 7, 5)])
def test_blocks_joined_are_the_frame(height, width, stride):
    rng = np.random.default_rng(0)
    frame = rng.random((height, width, 2)).astype(np.float32)
    corners = block_corners(height, width, 6, stride)
    blocks = blocks_at(jnp.asarray(frame), corners, 6)
    weight = rng.random((6, 6)) + 0.1
    joined = joined_blocks(blocks, corners, (height, width), weight)
    np.testing.assert_allclose(joined, frame, atol=1e-6)


def test_weights_count_where_blocks_overlap():
    corners = np.array([[0, 0], [0, 1]])
    blocks = jnp.stack([jnp.zeros((2, 2, 1)), jnp.ones((2, 2, 1))])
    weight = np.array([[3.0, 1.0], [1.0, 1.0]])
    joined = joined_blocks(blocks, corners, (2, 3), weight)[..., 0]
    np.testing.assert_allclose(joined, [[0, 0.75, 1], [0, 0.5, 1]])


@pytest.mark.parametrize(
    ("size", "stride", "message"),
    [(4, 5, "stride from 1 to 4"), (4, 0, "stride from 1 to 4"), (9, 3, "does not fit in .* 12x8")],
)
def test_impossible_blocks(size, stride, message):
    with pytest.raises(UserError, match=message):
        block_corners(8, 12, size, stride)
