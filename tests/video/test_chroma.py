import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqe_jax.video.chroma import downsample, upsample

SITINGS = ["left", "center", "topleft", "top", "bottomleft", "bottom"]
FACTORS = [(2, 2), (2, 1), (1, 1), (1, 2), (4, 1)]


def positions(siting, factors):
    """Where the chroma samples lie, in luma samples, written out by hand for factors of 2."""
    across = 0.0 if "left" in siting else 0.5
    down = {"top": 0.0, "bottom": 1.0}.get(siting.replace("left", ""), 0.5)
    return across * (factors[0] - 1), down * (factors[1] - 1)


@pytest.mark.parametrize("siting", SITINGS)
@pytest.mark.parametrize("factors", FACTORS)
def test_a_ramp_stays_where_it_is(siting, factors):
    """A linear ramp is reproduced exactly away from the edges if, and only if, phases are right."""
    x0, y0 = positions(siting, factors)
    height, width = 12 // factors[1], 16 // factors[0]
    y, x = np.mgrid[:12, :16].astype(np.float32)
    full = 3 * x - 2 * y
    cy, cx = np.mgrid[:height, :width].astype(np.float32)
    small = 3 * (cx * factors[0] + x0) - 2 * (cy * factors[1] + y0)
    inner = (slice(4, -4), slice(4, -4))
    assert np.allclose(upsample(small, (12, 16), factors, siting)[inner], full[inner], atol=1e-4)
    found = downsample(full, factors, siting)
    inner = (slice(2, -2), slice(1, -1))
    assert np.allclose(found[inner], small[inner], atol=1e-4)


@given(
    st.sampled_from(SITINGS),
    st.sampled_from(FACTORS),
    st.integers(1, 17),
    st.integers(1, 17),
    st.floats(-1, 1, width=32),
)
def test_constants_and_sizes_are_kept(siting, factors, height, width, value):
    small = (-(-height // factors[1]), -(-width // factors[0]))
    flat = np.full((height, width), value, np.float32)
    down = downsample(flat, factors, siting)
    assert down.shape == small and np.allclose(down, value, atol=1e-6)
    up = upsample(down, (height, width), factors, siting)
    assert up.shape == flat.shape and np.allclose(up, value, atol=1e-6)


def test_filters_are_the_ones_named():
    impulse = np.zeros((1, 16), np.float32)
    impulse[0, 8] = 1
    row = downsample(impulse, (2, 1), "left")[0]
    assert np.allclose(row[3:6], [0, 0.5, 0]) and np.allclose(row.sum(), 0.5)
    impulse = np.roll(impulse, 1, axis=1)
    assert np.allclose(downsample(impulse, (2, 1), "left")[0, 3:7], [0, 0.25, 0.25, 0])
    assert np.allclose(downsample(impulse, (2, 1), "center")[0, 3:7], [0, 0.375, 0.125, 0])
