"""A state that runs away is reset and reported; a healthy one is left alone."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.inference.networks import StateNet, variables_of
from tests.inference.test_stream import clip_of
from vqe_jax.inference import Guard, GuardWarning, enhance_frames, state_rms
from vqe_jax.inference.guard import Watch


def run(network, clip, **guard):
    events = []
    watch = Guard(report=events.append, **guard)
    out = enhance_frames(network, clip, variables=variables_of(network), guard=watch)
    return np.stack(list(out)), events


def test_a_runaway_is_reset_and_the_picture_stays_bounded():
    network, clip = StateNet(gain=1.5), clip_of(60)
    unwatched = list(enhance_frames(network, clip, variables=variables_of(network), guard=None))
    guarded, events = run(network, clip, limit=20.0, max_change=None)
    assert np.abs(unwatched[-1]).max() > 1e6
    assert np.abs(guarded - clip).max() < 5
    assert events and {e.action for e in events} == {"reset"}
    assert "state's size" in events[0].reason


def test_growth_without_a_given_limit_is_noticed_too():
    _, events = run(StateNet(gain=1.5), clip_of(40), settle=4, max_change=None)
    assert events and events[0].frame >= 4


def test_a_healthy_state_is_never_touched():
    network, clip = StateNet(), clip_of(40)
    guarded, events = run(network, clip, settle=4)
    free = list(enhance_frames(network, clip, variables=variables_of(network), guard=None))
    assert not events
    assert np.array_equal(guarded, np.stack(free))


def test_a_frame_is_computed_afresh_after_a_reset():
    """The frame of a reset is what a stream that starts there gives."""
    network, clip = StateNet(gain=1.5), clip_of(30)
    guarded, events = run(network, clip, limit=20.0, max_change=None)
    at = events[0].frame
    alone, _ = run(network, clip[at : at + 2], limit=20.0, max_change=None)
    assert np.array_equal(guarded[at], alone[0])


def test_rubbish_even_without_a_state_passes_the_input_through():
    clip = clip_of(5)
    clip[2] = np.nan
    out, events = run(StateNet(), clip)
    # Frame 1 looks ahead at frame 2.
    assert [(e.frame, e.action) for e in events] == [(1, "passed"), (2, "passed")]
    assert np.array_equal(out[1:3], clip[1:3], equal_nan=True)
    assert np.isfinite(out[[0, 3, 4]]).all()


def test_without_a_listener_it_is_a_warning():
    clip = np.full((1, 8, 8, 1), np.nan, np.float32)
    with pytest.warns(
        GuardWarning, match=r"frame 0: .*not finite; the compressed frame was passed"
    ):
        list(enhance_frames(StateNet(), clip, variables=variables_of(StateNet())))


def test_the_largest_array_counts_and_integers_do_not():
    state = {"a": jnp.full((3,), 2.0), "b": jnp.full((2,), -5.0), "n": jnp.full((1,), 99)}
    assert float(state_rms(state)) == pytest.approx(5.0)
    assert float(state_rms({"n": jnp.zeros(2, jnp.int32)})) == 0.0
    assert not np.isfinite(float(state_rms([jnp.array([jnp.nan]), jnp.ones(2)])))


def test_dark_beginnings_do_not_make_the_limit_tight():
    watch = Watch(Guard(settle=2, growth=10.0))
    assert watch.complaint(1e-4, 0.0) is None
    assert watch.complaint(1e-4, 0.0) is None
    assert watch.limit == 10.0
    assert watch.complaint(9.0, 0.0) is None
    assert "11" in watch.complaint(11.0, 0.0)


def test_a_passive_guard_sees_everything_and_does_nothing():
    network, clip, seen = StateNet(gain=1.5), clip_of(30), []
    watching = Guard(limit=1.0, passive=True, observe=lambda *signs: seen.append(signs))
    variables = variables_of(network)
    watched = list(enhance_frames(network, clip, variables=variables, guard=watching))
    free = list(enhance_frames(network, clip, variables=variables, guard=None))
    assert np.array_equal(watched, free)
    assert [frame for frame, _, _ in seen] == list(range(30))
    sizes = [size for _, size, _ in seen]
    assert sizes[-1] > 100 * sizes[0] > 0
