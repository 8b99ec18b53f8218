import numpy as np
import pytest

from vqe_jax.errors import UserError
from vqe_jax.metrics.kid import Reservoir, kid_of_features, polynomial_mmd


def test_discrepancy_by_its_definition():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((5, 3)), rng.standard_normal((4, 3)) + 1

    def k(a, b):
        return (a @ b / 3 + 1) ** 3

    within = [
        np.mean([k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j])
        for z in (x, y)
    ]
    between = np.mean([k(a, b) for a in x for b in y])
    np.testing.assert_allclose(polynomial_mmd(x, y), sum(within) - 2 * between, rtol=1e-12)


def test_equal_distributions_give_about_zero_and_shifted_ones_do_not():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 300, 6))
    same = kid_of_features(x, y, subset_size=100, subsets=30)
    other = kid_of_features(x, y + 1, subset_size=100, subsets=30)
    assert abs(same.mean) < 3 * same.std and other.mean > 10 * same.std
    assert (same.subset_size, same.subsets) == (100, 30)
    assert kid_of_features(x, y, subset_size=100, subsets=30) == same  # seeded
    assert kid_of_features(x, y, subset_size=100, subsets=30, seed=1) != same


def test_a_short_video_is_measured_on_all_frames_once():
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((2, 20, 4))
    found = kid_of_features(x, y)
    assert (found.subset_size, found.subsets, found.std) == (20, 1, 0)
    assert found.mean == polynomial_mmd(x, y)


def test_sets_of_different_sizes_take_the_smaller_as_subset():
    rng = np.random.default_rng(3)
    found = kid_of_features(rng.random((9, 4)), rng.random((14, 4)), subsets=5)
    assert (found.subset_size, found.subsets) == (9, 5)


@pytest.mark.parametrize(
    ("sizes", "subset", "message"),
    [((30, 8), 10, "subsets of 10 frames asked for, but a set has only 8"),
     ((30, 1), None, "at least 2 frames in each set, one has 1")],
)  # fmt: skip
def test_too_few_frames(sizes, subset, message):
    x, y = (np.zeros((n, 3)) for n in sizes)
    with pytest.raises(UserError, match=message):
        kid_of_features(x, y, subset_size=subset)


def test_reservoir_keeps_everything_until_full_and_a_uniform_sample_after():
    rows = np.arange(4000, dtype=np.float64)[:, None]
    small = Reservoir(capacity=4000)
    small.add(rows)
    np.testing.assert_array_equal(small.features, rows)
    bounded = Reservoir(capacity=400, seed=3)
    for piece in np.split(rows, 8):
        bounded.add(piece)
    kept = bounded.features[:, 0]
    assert bounded.seen == 4000 and len(set(kept)) == 400
    # Mean of 400 of 0..3999 without order: 1999.5 +- 3 * 1155 / sqrt(400).
    assert abs(kept.mean() - 1999.5) < 3 * 1155 / 20


def test_no_frames():
    with pytest.raises(UserError, match="no frames"):
        Reservoir().features  # noqa: B018
