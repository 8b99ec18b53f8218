"""BRNet with its official weights: the team's own values, and the gain on a real clip."""

import itertools

import jax
import numpy as np
import pytest

from vqe_jax import models, weights
from vqe_jax.video import open_reader, to_rgb


@pytest.fixture(scope="module")
def official(shared):
    with np.load(shared / "weights/brnet_nitre.npz") as file:
        variables = weights.from_torch("brnet", dict(file))
    network = models.build("brnet")
    return jax.jit(lambda clip: network.apply(variables, clip))


def test_official_values_on_an_odd_size(shared, official):
    with np.load(shared / "golden/brnet_official_weights_crop65x97.npz") as file:
        x, y = (np.moveaxis(file[key], 1, -1)[:, None] for key in "xy")
    np.testing.assert_allclose(official(x), y, atol=2e-5, rtol=0)


def _rgb(path, count=3):
    with open_reader(path) as reader:
        frames = itertools.islice(reader.frames(), count)
        return np.stack([to_rgb(frame, reader.info) for frame in frames])


def test_official_weights_gain_on_real_frames(shared, official):
    """Frames of the kind that the team trained for: HM, low delay P, QP 37."""
    clip = "carphone_176x144"
    raw = _rgb(shared / f"data/val/{clip}.mkv")
    coded = _rgb(shared / f"data/bitstreams/val/{clip}/hm1625_ldp_gop4_qp37.hevc")
    before, after = (
        -10 * np.log10(np.mean((frames - raw) ** 2, axis=(1, 2, 3)))
        for frames in (coded, official(coded[None])[0])
    )
    gain = np.asarray(after - before)
    assert gain.min() > 0.7
