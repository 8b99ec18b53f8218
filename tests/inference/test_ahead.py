import threading

import numpy as np
import pytest

from tests.inference.networks import BothNet, StateNet, WindowNet, variables_of
from tests.inference.test_stream import clip_of
from vqe_jax.inference import enhance_frames
from vqe_jax.inference.ahead import compiling_ahead
from vqe_jax.programs import counted


@pytest.mark.parametrize(
    "network", [WindowNet(channels=2), StateNet(gain=0.25), BothNet(channels=2)], ids=type
)
def test_what_was_compiled_ahead_is_not_compiled_again(network):
    channels = network.channels
    clip = np.repeat(clip_of(4, 20, 28), channels, axis=-1)
    variables = variables_of(network)
    zeros = np.zeros_like(clip)
    made = []

    def ahead():
        with compiling_ahead():
            made.extend(enhance_frames(network, zeros, variables=variables, guard=None))

    thread = threading.Thread(target=ahead)
    with counted() as before:
        thread.start()
        thread.join()
    assert before.programs >= 1 and len(made) == 4 and not np.any(made)
    with counted() as after:
        result = np.stack(list(enhance_frames(network, clip, variables=variables, guard=None)))
    assert after.programs == 0 and np.abs(result).max() > 0
