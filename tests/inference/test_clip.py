"""Clips in memory."""

import numpy as np
import pytest

from tests.inference.networks import StateNet, variables_of
from tests.inference.test_stream import clip_of
from vqe_jax.errors import UserError
from vqe_jax.inference import enhance, enhance_frames


def model():
    network = StateNet()
    return network, variables_of(network)


def test_a_clip_equals_its_stream_clipped():
    clip = clip_of(4)
    streamed = np.clip(np.stack(list(enhance_frames(model(), clip))), 0, 1)
    assert np.array_equal(enhance(clip, model=model()), streamed)


def test_several_clips_are_independent():
    pair = np.stack([clip_of(3, seed=1), clip_of(3, seed=2)])
    both = enhance(pair, model=model())
    assert both.shape == pair.shape
    assert np.array_equal(both[1], enhance(pair[1], model=model()))


@pytest.mark.parametrize(
    ("clip", "said"),
    [
        (np.zeros((2, 8, 8, 1), np.uint8), r"uint8.*astype\('float32'\) / 255"),
        (np.zeros((2, 8, 8, 1), np.uint16), "65535"),
        (np.zeros((8, 8), np.float32), r"\[b, t, h, w, c\]"),
        (np.zeros((2, 8, 8, 3), np.float32), r"3 channels, the model takes 1 \(luma\)"),
    ],
)
def test_what_is_not_a_clip_is_refused(clip, said):
    with pytest.raises(UserError, match=said):
        enhance(clip, model=model())
