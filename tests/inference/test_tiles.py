"""Tiles against whole frames."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.inference.networks import BothNet, StateNet, WindowNet, variables_of
from tests.inference.test_stream import clip_of
from tests.models.golden import load
from vqe_jax.errors import UserError
from vqe_jax.inference import Tiling, enhance_frames
from vqe_jax.inference.tiles import centers, spans
from vqe_jax.models import Context, WindowNetwork
from vqe_jax.models.side import Side


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
    cut = np.concatenate([run(network, clip[:, :, :20]), run(network, clip[:, :, 20:])], axis=2)
    assert np.abs(tiled - whole).max() < 0.1 * np.abs(whole - clip).max()
    seam, hard = (np.abs(np.diff(x - whole, axis=2)).max() for x in (tiled, cut))
    assert seam < 0.5 * hard


def test_too_small_a_tile_says_what_would_do():
    network = WindowNet()
    with pytest.raises(UserError, match="use a size above 64"):
        run(network, clip_of(1, 80, 80), tiling=Tiling(48, margin=32))


def test_bidirectional_networks_are_not_tiled():
    with pytest.raises(UserError, match="cannot be tiled"):
        run(BothNet(), clip_of(1), tiling=Tiling())


@settings(deadline=None)
@given(length=st.integers(8, 300), size=st.integers(8, 90), margin=st.integers(0, 12))
def test_centers_from_both_ends_cover_an_axis(length, size, margin):
    assume(2 * margin < size <= length)
    first, last = centers(length, size, margin)
    covered = {i for span in (*first, *last) for i in range(span.core_start, span.core_stop)}
    assert covered == set(range(length))
    assert all(s.start >= 0 and s.stop <= length and s.stop - s.start == size for s in first + last)


class Ramp(WindowNetwork):
    """Adds what depends on the place in its tile, as the golden file's stand-in does."""

    radius = 2

    @property
    def context(self):
        return Context(past=2, future=2)

    def enhance(self, windows, side=Side(), *, train=False):
        rows = jnp.linspace(-9, 9, windows.shape[2])[None, :, None, None]
        columns = jnp.linspace(-7, 7, windows.shape[3])[None, None, :, None]
        added = 0.37 * rows * columns + 0.31
        return windows[:, 2] + added / 255 + 0.125 * (windows[:, 0] - windows[:, 4])


def test_centers_against_the_official_code(shared):
    golden = load(shared, "rcvn_pim_134x158")
    clip = np.moveaxis(golden.data["in/lr"][0], 1, -1) / 255
    tiling = Tiling(72, 5, "centers")
    frames = list(enhance_frames((Ramp(channels=3), {}), clip, tiling=tiling))
    got = np.moveaxis(frames[2], -1, 0)[None] * 255
    golden.check(got, "y_float")
    golden.check(np.clip(np.round(got), 0, 255), "y_uint8")


@pytest.mark.parametrize("network", [WindowNet(), StateNet(), StateNet(field=None)], ids=str)
def test_centers_of_any_network_stay_near_the_whole_frame(network):
    clip = clip_of(3, 40, 44)
    whole = run(network, clip)
    tiled = run(network, clip, tiling=Tiling(24, 8, "centers"))
    assert 0 < np.abs(tiled - whole).max() < 0.1  # tiles that begin a row keep their borders
    assert np.abs(tiled - whole).mean() < 0.01


@pytest.mark.parametrize(
    ("tiling", "message"),
    [
        (Tiling(72, 5, "centers"), "tiles of 72 pixels do not fit into frames of 80x64; .* 64 or"),
        (Tiling(16, 8, "centers"), "no core between margins of 8 pixels; use a size above 16"),
    ],
)
def test_centers_that_do_not_fit(tiling, message):
    with pytest.raises(UserError, match=message):
        run(WindowNet(), clip_of(1, 64, 80), tiling=tiling)


def test_a_mode_that_does_not_exist():
    with pytest.raises(UserError, match="mode='center' does not exist; did you mean 'centers'"):
        Tiling(mode="center")
