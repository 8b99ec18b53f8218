"""Several devices against one; the suite has eight, all of them this processor."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.inference.networks import BothNet, StateNet, WindowNet, variables_of
from tests.inference.test_stream import clip_of
from vqe_jax.errors import UserError
from vqe_jax.inference import Tiling, enhance_frames
from vqe_jax.inference.devices import Devices
from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.models.references import NearestPeaks
from vqe_jax.models.side import FrameInfo
from vqe_jax.nn.layers import Conv


class Chooser(WindowNetwork):
    """Mixes a frame with the peaks around it."""

    @property
    def context(self):
        return Context(past=4, future=4, multiple=2, references=NearestPeaks(4, 4))

    @nn.compact
    def enhance(self, windows, side=Side(), *, train=False):
        weights = jnp.arange(1.0, 1 + windows.shape[1]) / 10
        mixed = jnp.einsum("nkhwc,k->nhwc", windows, weights)
        return mixed + Conv(self.channels)(mixed)


def run(network, clip, **options):
    return np.stack(list(enhance_frames(network, clip, variables=variables_of(network), **options)))


CASES = {
    "pieces": (WindowNet(), (11, 24, 20), {"chunk": 2}),
    "a clip shorter than its devices": (WindowNet(), (2, 24, 20), {}),
    "tiles of pieces": (WindowNet(), (5, 33, 46), {"chunk": 1, "tiling": Tiling(16)}),
    "rows": (StateNet(), (5, 32, 20), {}),
    "columns": (StateNet(), (3, 30, 32), {}),
    "fewer devices than asked for": (StateNet(), (3, 33, 27), {}),
    "tiles with a state of maps": (StateNet(), (4, 33, 46), {"tiling": Tiling(16)}),
    "tiles each with a state": (StateNet(field=None), (3, 40, 40), {"tiling": Tiling(24, 6)}),
    "blended pieces": (
        BothNet(),
        (23, 12, 12),
        {"long_range": "fast", "chunk": 6, "overlap": 2},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_several_devices_equal_one(name):
    network, shape, options = CASES[name]
    clip = clip_of(*shape)
    alone = run(network, clip, **options)
    shared = run(network, clip, devices=4, **options)
    np.testing.assert_allclose(shared, alone, atol=1e-6)


def test_chosen_reference_frames_are_shared_out():
    network = Chooser()
    clip = clip_of(13, 16, 16)
    infos = [FrameInfo(peak=i % 4 == 0) for i in range(len(clip))]
    alone = run(network, clip, infos=infos, chunk=2)
    np.testing.assert_allclose(
        run(network, clip, infos=infos, chunk=2, devices=3), alone, atol=1e-6
    )


def test_all_devices_work_and_none_alone():
    devices = Devices(4)
    frame = devices.divide(np.zeros((32, 20, 1), np.float32))
    assert len(frame.sharding.device_set) == 4
    assert {s.data.shape for s in frame.addressable_shards} == {(8, 20, 1)}
    assert len(devices.divide(np.zeros((33, 27, 1), np.float32)).sharding.device_set) == 3
    assert Devices().count == 1, "processors are not shared out by default"


def test_what_cannot_be_shared_is_said():
    with pytest.raises(UserError, match=r"devices=99; there are 8 cpu devices here"):
        run(WindowNet(), clip_of(2, 8, 8), devices=99)
    with pytest.raises(UserError, match="long_range='fast' to share pieces, or devices=1"):
        run(BothNet(), clip_of(2, 8, 8), devices=2)
    assert len(jax.local_devices()) == 8
