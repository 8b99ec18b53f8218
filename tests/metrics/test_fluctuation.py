"""Ups and downs of quality, and means over videos."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqe_jax.metrics import peak_valley_difference, protocol, standard_deviation


def test_a_saw_has_its_height():
    saw = np.tile([34.0, 31.0, 32.0, 31.5], 5)
    assert peak_valley_difference(saw[:8]) == pytest.approx(np.mean([32 - 31, 34 - 31.5, 32 - 31]))
    assert standard_deviation(saw) == pytest.approx(np.std([34, 31, 32, 31.5]))


def test_nearest_is_by_frames_not_by_value():
    curve = [35.0, 30.0, 31.0, 32.0, 33.0, 32.5, 34.0]
    assert peak_valley_difference(curve) == pytest.approx(0.5)


@settings(deadline=None)
@given(st.lists(st.floats(20, 50), max_size=20))
def test_shifts_change_nothing_and_scales_scale(curve):
    values = np.round(np.asarray(curve, np.float64), 3)
    difference = peak_valley_difference(values)
    assert peak_valley_difference(values + 7.0) == pytest.approx(difference, abs=1e-9)
    assert peak_valley_difference(2 * values) == pytest.approx(2 * difference, abs=1e-9)
    if len(values):
        assert difference <= np.ptp(values) + 1e-9


def test_monotone_and_short_curves_have_no_fluctuation():
    assert peak_valley_difference([]) == peak_valley_difference([1.0, 2.0, 3.0]) == 0.0


def test_figures_of_a_real_stream(shared):
    """The table that came with the clips: 31.58 dB, SD 0.78, PVD 1.44 for this HM stream."""

    def luma(path):
        with av.open(str(path)) as file:
            planes = [f.to_ndarray()[: f.height, : f.width] for f in file.decode(video=0)]
        return np.stack(planes)[..., None].astype(np.float32) / 255

    clip = "tennis_432x240"
    coded = luma(shared / "data/bitstreams/val" / clip / "hm1625_ldp_gop4_qp37.hevc")
    curve = protocol("psnr_y")(coded, luma(shared / f"data/val/{clip}.mkv"))
    assert curve.mean() == pytest.approx(31.58, abs=0.005)
    assert standard_deviation(curve) == pytest.approx(0.78, abs=0.005)
    assert peak_valley_difference(curve) == pytest.approx(1.44, abs=0.005)
