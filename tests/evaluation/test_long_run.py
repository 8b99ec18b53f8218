"""A gain that lasts, and one that does not."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.tiny import Stub, clip, model
from tests.inference.networks import StateNet, variables_of
from vqe_jax.errors import UserError
from vqe_jax.evaluation.long_run import (
    LongRun,
    back_and_forth,
    check_length,
    long_run,
    long_run_table,
)
from vqe_jax.metrics import protocol

PSNR = protocol("psnr_y")


@settings(deadline=None)
@given(count=st.integers(1, 9), length=st.integers(0, 40))
def test_no_frame_is_far_from_the_one_before(count, length):
    order = list(back_and_forth(count, length))
    assert len(order) == length
    assert order[:count] == list(range(min(count, length)))
    assert all(0 <= i < count for i in order)
    assert all(abs(i - j) == min(1, count - 1) for i, j in itertools.pairwise(order))


def test_the_identity_is_flat():
    run = long_run(clip(), model(), PSNR, length=200)
    assert run.is_flat
    # Frames are held as bytes, so rounding is all there is.
    assert np.abs(run.gains).max() < 1e-4
    assert run.period == 10


def test_a_runaway_drifts_and_is_called_so():
    network = StateNet(gain=1.1)
    model = Stub.of(network, variables_of(network))
    run = long_run(clip(), model, PSNR, length=200)
    assert not run.is_flat
    assert run.last < run.first - 10
    assert len(run.sizes) == 200 and run.sizes[-1] > 1e3 * run.sizes[0]
    table = long_run_table("stub", PSNR, [run])
    assert table.rows[0][-1] == "DRIFTS"


def test_the_same_frames_are_compared():
    """A gain that depends on the frame alone is no drift, though the two hundreds differ."""
    gains = np.array([float(i) for i in back_and_forth(71, 2000)])
    run = LongRun("c", gains, 140)
    assert run.drift == 0.0 and run.is_flat
    assert abs(run.last - run.first_hundred) > 1


def test_what_is_not_a_number_is_not_flat():
    gains = np.zeros(300)
    gains[-1] = np.nan
    assert not LongRun("c", gains, 10).is_flat


def test_a_short_long_run_is_refused():
    with pytest.raises(UserError, match=r"too short for .* which has 6; at least 200"):
        long_run(clip(), model(), PSNR, length=100)


def test_frames_are_not_compared_with_themselves():
    """Of 200 frames of a clip of 120, most of the last hundred lie in the first round."""
    longer = dataclasses.replace(clip(), count=120)
    for length in (200, 337):
        with pytest.raises(UserError, match=rf"a long run of {length} .* has 120; at least 338"):
            check_length(longer, length)
    check_length(longer, 338)
