"""Tiles against whole frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inference.networks import BothNet, StateNet, WindowNet, variables_of
from tests.inference.test_stream import clip_of
from vqe_jax.errors import UserError
from vqe_jax.inference import Tiling, enhance_frames
from vqe_jax.inference.tiles import spans


def run(network, clip, **options):
    return np.stack(list(enhance_frames(network, clip, variables=variables_of(network), **options)))


@settings(deadline=None)
@given(
    length=st.integers(1, 200),
    cores=st.integers(1, 12),
    reach=st.integers(0, 6),
    multiple=st.sampled_from([1, 2, 4, 8]),
)
def test_cores_cover_an_axis_once_and_stay_clear_of_cuts(length, cores, reach, multiple):
    margin, size = reach * multiple, (2 * reach + cores) * multiple
    axis = spans(length, size, margin, multiple)
    covered = [i for span in axis for i in range(span.core_start, span.core_stop)]
    assert covered == list(range(length))
    for span in axis:
        assert span.stop - span.start <= size
        assert span.start % multiple == 0
        assert span.start == 0 or span.core_start - span.start >= margin
        assert span.stop == length or span.stop - span.core_stop >= margin


@pytest.mark.parametrize("network", [WindowNet(), StateNet()], ids=["none", "forward"])
@pytest.mark.parametrize("size", [(33, 46), (24, 24), (21, 50)])
def test_a_finite_field_makes_tiles_exact(network, size):
    """Over six frames the state crosses tile borders many times further than one margin."""
    clip = clip_of(6, *size)
    whole = run(network, clip)
    np.testing.assert_allclose(run(network, clip, tiling=Tiling(16)), whole, atol=1e-6)


def test_without_a_finite_field_tiles_are_blended():
    network, clip = StateNet(field=None), clip_of(3, 40, 40)
    whole = run(network, clip)
    tiled = run(network, clip, tiling=Tiling(24, margin=6))
    assert np.abs(tiled - whole).max() < 0.05
    step = np.abs(np.diff(tiled - whole, axis=2)).max()
    assert step < 0.05


def test_too_small_a_tile_says_what_would_do():
    network = WindowNet()
    with pytest.raises(UserError, match="use a size above 64"):
        run(network, clip_of(1, 80, 80), tiling=Tiling(48, margin=32))


def test_bidirectional_networks_are_not_tiled():
    with pytest.raises(UserError, match="cannot be tiled"):
        run(BothNet(), clip_of(1), tiling=Tiling())
