"""Batches of windows whose frames the network chooses."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.data.conftest import data_dir, videos  # noqa: F401 (fixtures)
from vqe_jax.data.pair import open_pairs
from vqe_jax.data.pipeline import DataConfig
from vqe_jax.models import Context, Side, WindowNetwork
from vqe_jax.models.references import Distance, NearestPeaks
from vqe_jax.models.shapes import initial_variables
from vqe_jax.training import plain, step
from vqe_jax.training.feed import Feed
from vqe_jax.training.stages import Stage, Term

PEAKS = NearestPeaks(8, 8)


class PeakNetwork(WindowNetwork):
    """A window of the peaks before and after, and the frame."""

    radius: int = 1

    @property
    def context(self) -> Context:
        return Context(past=8, future=8, references=PEAKS)

    @nn.compact
    def enhance(self, windows, side=Side(), *, train=False):
        share = self.param("share", nn.initializers.constant(0.1), ())
        return windows[:, 1] + share * (windows[:, 0] + windows[:, 2] - 2 * windows[:, 1])


@pytest.fixture
def config(data_dir):  # noqa: F811
    return DataConfig(data_dir=str(data_dir), crop=32, batch=8, raw_window=True)


def _feed(config, references):
    place = step.make_place(1)
    return Feed(config, seed=0, start=0, sharding=place.split, references=references), place


def test_training_picks_the_frames_that_streaming_picks(config):
    feed, _ = _feed(config, PEAKS)
    batch, names = feed.take()
    pairs = {p.name: p for p in open_pairs(config.data_dir, "clips", "train", "qp37")}
    found = set()
    for row, name in enumerate(names):
        info = pairs[name].side_info()
        side = Side(peak=info.peak[None])
        windows = PEAKS.indices(side, len(pairs[name]))[0]
        fitting = [
            t
            for t, window in enumerate(windows)
            if np.array_equal(info.frame_qp[window], batch["frame_qp"][row])
            and _holds(pairs[name].clip("raw", "luma")[window], batch["raw_window"][row, ..., 0])
        ]
        assert fitting
        found |= {(name, t) for t in fitting}
    assert len({t for _, t in found}) > 2
    np.testing.assert_array_equal(batch["raw_window"][:, 1:2], batch["raw"])


def _holds(clip: np.ndarray, crop: jax.Array) -> bool:
    codes = np.rint(np.asarray(crop) * 255).astype(np.uint8)
    around = np.lib.stride_tricks.sliding_window_view(clip, codes.shape)[0]
    return bool((around == codes).all(axis=(-3, -2, -1)).any())


def test_a_step_on_chosen_frames(config):
    network = PeakNetwork()
    feed, place = _feed(config, PEAKS)
    stage = Stage("s", 2, losses=(Term("l2"),), learning_rate=0.1)
    made = plain.make_step(stage, network, place)
    batch, _ = feed.take()
    state = made.init_state({"params": {"share": jnp.asarray(0.1)}})
    state, metrics = made.step_fn(state, batch)
    window = np.asarray(batch["compressed"], np.float64)
    mixed = window[:, 1] + 0.1 * (window[:, 0] + window[:, 2] - 2 * window[:, 1])
    expected = np.mean(np.square(mixed - np.asarray(batch["raw"])[:, 0]))
    assert float(metrics["loss"]) == pytest.approx(expected, rel=1e-4)
    assert initial_variables(network, jax.random.key(0))["params"]["share"].shape == ()


def test_the_network_is_told_the_peaks_that_were_filled_in(config):
    filled = NearestPeaks(8, 8, ends=True)
    batch, names = _feed(config, filled)[0].take()
    pairs = {p.name: p for p in open_pairs(config.data_dir, "clips", "train", "qp37")}
    assert np.asarray(batch["peak"][:, [0, 2]]).all()  # with the ends there is one on each side
    plain_peaks = [pairs[name].side_info().peak for name in names]
    assert not all(peak[-1] for peak in plain_peaks)


def test_a_distance_is_a_selection_too(config):
    plain_config = dataclasses.replace(config, raw_window=False)
    batch, _ = _feed(plain_config, Distance(2, 1))[0].take()
    assert batch["compressed"].shape[1] == batch["frame_qp"].shape[1] == 4
    assert "raw_window" not in batch
