import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from vqe_jax.errors import UserError
from vqe_jax.metrics import Moments, fid, frechet_distance
from vqe_jax.metrics.fid import inception_features, stream_features
from vqe_jax.perceptual import InceptionV3

from ..perceptual.seeded import seeded


def moments(x):
    return Moments.empty(x.shape[1]).add(x)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(0, 99))
def test_moments_of_any_pieces_are_those_of_the_whole(pieces, seed):
    rng = np.random.default_rng(seed)
    x = 1e3 + rng.standard_normal((sum(pieces) + 2, 4))
    total = moments(x[:2])
    for start, size in zip(np.cumsum([2, *pieces[:-1]]), pieces, strict=True):
        total = total.add(x[start : start + size])
    assert total.count == len(x)
    np.testing.assert_allclose(total.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(total.covariance, np.cov(x, rowvar=False), rtol=1e-8, atol=1e-10)


def test_distance_by_the_definition():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 8)) @ rng.standard_normal((8, 8))
    y = 0.3 + rng.standard_normal((70, 8)) @ rng.standard_normal((8, 8))
    cx, cy = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(cx @ cy).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy - 2 * root)
    np.testing.assert_allclose(frechet_distance(moments(x), moments(y)), expected, rtol=1e-9)


def test_fewer_frames_than_features():
    """Singular covariances: of points on two orthogonal lines, worked out by hand."""
    x, y = np.zeros((3, 5)), np.zeros((3, 5))
    x[:, 0], y[:, 1] = [-1, 0, 1], [-2, 0, 2]
    np.testing.assert_allclose(frechet_distance(moments(x), moments(y)), 1 + 4, atol=1e-12)
    np.testing.assert_allclose(frechet_distance(moments(x), moments(x)), 0, atol=1e-12)


def test_one_frame_has_no_covariance():
    with pytest.raises(UserError, match="at least 2 frames, there are 1"):
        frechet_distance(moments(np.zeros((1, 3))), moments(np.zeros((3, 3))))


@pytest.fixture(scope="module")
def inception():
    return seeded(InceptionV3(divisor=16), np.zeros((2, 8, 9, 3), np.float32))


def test_frames_are_read_once_in_bounded_pieces(inception):
    frames = np.random.default_rng(1).random((5, 8, 9, 3), np.float32)
    pieces = list(stream_features(iter(frames), variables=inception, chunk=2, divisor=16))
    assert [len(p) for p in pieces] == [2, 2, 1]
    whole = inception_features(frames, variables=inception, chunk=2, divisor=16)
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)
    near = frames[:, ::-1]
    assert fid(frames, frames, variables=inception, chunk=2, divisor=16) < 1e-6
    assert fid(iter(frames), iter(near), variables=inception, chunk=2, divisor=16) > 1e-6


def test_integers_are_refused(inception):
    with pytest.raises(UserError, match="frames is uint8"):
        inception_features(np.zeros((2, 8, 9, 3), np.uint8), variables=inception, divisor=16)
