"""Ensembles over symmetries and models."""

import weakref

import jax
import numpy as np
import pytest

from tests.inference.networks import BothNet, StateNet, WindowNet, variables_of
from tests.inference.test_stream import clip_of
from vqe_jax.errors import UserError
from vqe_jax.inference import enhance_frames, enhance_frames_ensemble
from vqe_jax.symmetry import SYMMETRIES, apply_symmetry, inverse_symmetry


def test_members_are_averaged():
    clip = clip_of(4)
    models = [(net, variables_of(net)) for net in (StateNet(), WindowNet())]
    each = [np.stack(list(enhance_frames(m, clip))) for m in models]
    mean = np.stack(list(enhance_frames_ensemble(models, clip, symmetries=[0])))
    np.testing.assert_allclose(mean, (each[0] + each[1]) / 2, atol=1e-6)


def test_the_self_ensemble_commutes_with_every_symmetry():
    """Averaging over the group makes any network equivariant: turn, enhance = enhance, turn."""
    network, clip = StateNet(), clip_of(2, 8, 12)
    model = (network, variables_of(network))

    def enhanced(frames):
        return np.stack(list(enhance_frames_ensemble([model], frames)))

    def turn(frames):
        return apply_symmetry(np.stack(frames), 5, axis=-3)

    np.testing.assert_allclose(
        enhanced(turn(clip)),
        turn(enhanced(clip)),
        atol=1e-6,
    )


def test_whole_clips_through_a_bidirectional_network_are_averaged_over_all_eight():
    network, clip = BothNet(), np.stack(clip_of(5, 8, 12))
    variables = variables_of(network)
    run = jax.jit(network.apply)
    # Each turned clip as a whole, turned back.
    wholes = [
        apply_symmetry(
            np.asarray(run(variables, apply_symmetry(clip, s, axis=-3)[None])[0]),
            inverse_symmetry(s),
            axis=-3,
        )
        for s in SYMMETRIES
    ]
    found = enhance_frames_ensemble([(network, variables)], iter(clip), long_range="exact")
    np.testing.assert_allclose(np.stack(list(found)), np.mean(wholes, axis=0), atol=1e-6)
    assert np.abs(wholes[0] - np.mean(wholes, axis=0)).max() > 1e-4  # they do differ


def test_long_streams_are_not_held():
    alive: list[weakref.ref] = []
    most = 0

    def frames():
        nonlocal most
        for _ in range(40):
            frame = clip_of(1)[0]
            alive.append(weakref.ref(frame))
            most = max(most, sum(kept() is not None for kept in alive))
            yield frame

    network = WindowNet()
    stream = enhance_frames_ensemble([(network, variables_of(network))], frames(), chunk=1)
    assert sum(1 for _ in stream) == 40
    assert most < 12


def test_an_empty_ensemble_is_refused():
    with pytest.raises(UserError, match="at least one model"):
        next(enhance_frames_ensemble([], clip_of(1)))
