import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.video.clips import drifting, info_of
from vqe_jax.models.references import NearestPeaks, filled_peaks
from vqe_jax.models.side import Side
from vqe_jax.video import (
    encode_hevc,
    frame_qps,
    low_delay_p,
    peak_frames,
    peaks_every,
    peaks_of_pictures,
    peaks_of_scores,
)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(3, 6))
def test_no_gap_is_longer_than_asked_and_no_peak_is_lost(peaks, longest):
    filled = filled_peaks(peaks, longest_gap=longest)
    assert filled[0] and filled[-1]
    assert all(after for before, after in zip(peaks, filled, strict=True) if before)
    at = [t for t, peak in enumerate(filled) if peak]
    assert all(b - a <= longest for a, b in itertools.pairwise(at))


def test_gaps_are_filled_from_the_worse_end():
    scores = [5.0, *[0.0] * 5, 9.0]
    peaks = [True, *[False] * 5, True]
    assert [t for t, p in enumerate(filled_peaks(peaks, scores=scores)) if p] == [0, 2, 4, 6]
    scores = [9.0, *[0.0] * 4, 5.0]
    assert [t for t, p in enumerate(filled_peaks(peaks[1:], scores=scores)) if p] == [0, 3, 5]


def test_a_rule_prepares_each_clip_of_a_batch():
    peaks = np.zeros((2, 9), bool)
    peaks[1, 4] = True
    rule = NearestPeaks(8, 8, ends=True)
    assert np.flatnonzero(rule.prepare(Side(peak=peaks)).peak[1]).tolist() == [0, 4, 8]
    assert not peaks[1, 0]
    filled = NearestPeaks(8, 8, longest_gap=4).prepare(Side(peak=peaks)).peak
    assert np.flatnonzero(filled[0]).tolist() == [0, 2, 4, 8]


@pytest.mark.parametrize("period", [2, 3, 5])
def test_maxima_of_a_wave_are_its_crests(period):
    scores = np.cos(2 * np.pi * np.arange(6 * period + 1) / period)
    assert peaks_of_scores(scores.tolist()) == peaks_every(period, len(scores))


def test_the_bitstreams_qps_show_the_low_delay_pattern(tmp_path):
    info = info_of()
    path = tmp_path / "a.hevc"
    encode_hevc(drifting(info, 13), path, info, low_delay_p(37, preset="ultrafast"))
    coded = frame_qps(path)
    found = peak_frames([f.qp for f in coded], [f.frame_type for f in coded])
    assert found == peaks_every(4, 13)


def test_pictures_tell_which_frames_were_less_blurred(tmp_path):
    """Every fourth frame has its detail; the others copy the last such frame, softened."""
    rng = np.random.default_rng(0)
    detail = rng.random((40, 40))
    soft = (detail + np.roll(detail, 1, 0) + np.roll(detail, 1, 1)) / 3
    moving = [np.roll(detail if t % 4 == 0 else soft, t // 4, 1) for t in range(21)]
    assert peaks_of_pictures(moving) == peaks_every(4, 21)
    assert peaks_of_pictures([]) == [] and peaks_of_pictures(moving[:1]) == [False]
