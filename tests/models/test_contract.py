"""What the base of all networks does for them."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.inference import Tiling, enhance, enhance_frames
from vqe_jax.models import Context, FrameNetwork, Network, Side, WindowNetwork
from vqe_jax.models.references import NearestPeaks
from vqe_jax.models.shapes import initial_variables
from vqe_jax.models.side import FrameInfo
from vqe_jax.nn.layers import Conv
from vqe_jax.ops.shuffle import pixel_shuffle


class Doubling(WindowNetwork):
    """Twice as large, from three frames."""

    receptive: int | None = 1

    @property
    def context(self):
        return Context(past=1, future=1, multiple=4, scale=2, receptive_field=self.receptive)

    @nn.compact
    def enhance(self, windows, side=Side(), *, train=False):
        stacked = jnp.moveaxis(windows[..., 0], 1, -1)
        return pixel_shuffle(Conv(4 * self.channels, name="conv")(stacked), 2)


class DoublingState(Network):
    """Twice as large, from a state."""

    @property
    def context(self):
        return Context(
            recurrence="forward", multiple=4, scale=2, receptive_field=1, state_scale={"hidden": 1}
        )

    def setup(self):
        self.conv = Conv(4)

    def advance(self, state, window, *, side):
        hidden = window[:, 0] if state is None else 0.5 * (window[:, 0] + state["hidden"])
        return {"hidden": hidden}, pixel_shuffle(self.conv(hidden), 2)

    def forward(self, clip, *, side, train):
        state, frames = None, []
        for i in range(clip.shape[1]):
            state, frame = self.advance(state, clip[:, i : i + 1], side=side)
            frames.append(frame)
        return jnp.stack(frames, axis=1)


class PeakDifference(WindowNetwork):
    """Tells exactly which frames it was given."""

    @property
    def context(self):
        return Context(past=4, future=4, references=NearestPeaks(4, 4))

    @nn.compact
    def enhance(self, windows, side=Side(), *, train=False):
        weights = self.param("weights", nn.initializers.normal(1.0), (3,))
        return jnp.einsum("nkhwc,k->nhwc", windows, weights)


class Choosy(FrameNetwork):
    """Has choices, and named results."""

    mode: Literal["plain", "fancy"] = "plain"
    bits: Literal[8, 10] | None = None

    @property
    def context(self):
        return Context(multiple=4, outputs=("stage1", "coarse"))

    def enhance(self, frames, side=Side(), *, train=False):
        return {"picture": frames * 2, "stage1": frames * 3, "coarse": frames[:, ::4, ::4]}


def _clip(t=5, h=13, w=18, c=1, seed=0):
    return jax.random.uniform(jax.random.key(seed), (1, t, h, w, c))


def _stream(network, variables, clip, **options):
    return np.stack(list(enhance_frames((network, variables), np.asarray(clip[0]), **options)))


@pytest.mark.parametrize("network", [Doubling(), DoublingState()], ids=lambda n: type(n).__name__)
@pytest.mark.parametrize("tiling", [None, Tiling(size=12)], ids=["whole", "tiles"])
def test_a_network_that_enlarges_does_so_by_every_way(network, tiling):
    variables = initial_variables(network, jax.random.key(1))
    clip = _clip()
    whole = network.apply(variables, clip)
    assert whole.shape == (1, 5, 26, 36, 1)
    streamed = _stream(network, variables, clip, tiling=tiling, guard=None)
    np.testing.assert_allclose(streamed, whole[0], atol=2e-6)
    if isinstance(network, Doubling):
        inner = network.apply(variables, clip, method="inner")
        np.testing.assert_allclose(inner, whole[:, 1:-1], atol=2e-6)


def test_blended_tiles_of_a_network_that_enlarges_have_its_size():
    network = Doubling(receptive=None)
    variables = initial_variables(network, jax.random.key(1))
    tiled = _stream(network, variables, _clip(h=40, w=40), tiling=Tiling(size=24, margin=8))
    np.testing.assert_allclose(tiled, network.apply(variables, _clip(h=40, w=40))[0], atol=0.4)
    assert tiled.shape == (5, 80, 80, 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "fanzy"}, "Choosy: mode='fanzy' does not exist; did you mean 'fancy'"),
        ({"bits": 9}, "Choosy: bits=9 does not exist; known: 10, 8, None"),
    ],
)
def test_a_choice_that_does_not_exist(fields, message):
    with pytest.raises(UserError, match=message):
        Choosy(**fields)
    assert Choosy(bits=10).bits == 10


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("vig", {"skip": "men"}),
        ("vig", {"order": "conv_frist"}),
        ("astf", {"mask_on": "enhance3"}),
        ("astf", {"luma": "bt709"}),
        ("basicvsr", {"flow_padding": "zero"}),
        ("pequenet", {"alignment": "atention"}),
    ],
)
def test_choices_of_all_networks_are_checked(name, fields):
    with pytest.raises(UserError, match=r"does not exist; (did you mean|known)"):
        models.build(name, **fields)


def test_named_results_are_cropped_where_they_are_pictures():
    found = Choosy().apply({}, _clip(), outputs=True)
    np.testing.assert_array_equal(found["picture"], 2 * _clip())
    np.testing.assert_array_equal(found["stage1"], 3 * _clip())
    assert found["coarse"].shape == (1, 5, 4, 5, 1)
    np.testing.assert_array_equal(Choosy().apply({}, _clip()), 2 * _clip())
    assert set(PeakDifference().context.needs) == {"peak"}


def test_a_frame_network_is_a_window_network_of_one_frame():
    network = models.build("dncnn", features=4, depth=1)
    frames = _clip(c=3)[0]
    variables = network.init(jax.random.key(0), frames, method="enhance")
    alone = network.apply(variables, frames, method="enhance")
    np.testing.assert_array_equal(
        network.apply(variables, frames[:, None], method="enhance"), alone
    )
    np.testing.assert_allclose(network.apply(variables, frames[None])[0], alone, atol=1e-6)


PEAKS = np.array([[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]], bool)


def test_missing_side_information_is_said_before_anything_runs():
    network = PeakDifference()
    with pytest.raises(UserError, match=r"PeakDifference needs peak.*--peaks"):
        jax.eval_shape(lambda k: network.init(k, _clip()), jax.random.key(0))
    with pytest.raises(UserError, match="needs peak"):
        enhance_frames((network, {}), [])
    variables = initial_variables(network, jax.random.key(1))
    with pytest.raises(UserError, match="ends before the frames do, after 2"):
        _stream(network, variables, _clip(), infos=[FrameInfo(peak=True)] * 2)


@pytest.mark.parametrize("chunk", [1, 3, 40])
def test_streams_choose_the_frames_that_whole_clips_do(chunk):
    network, clip = PeakDifference(), _clip(t=12, h=4, w=6)
    variables = initial_variables(network, jax.random.key(1))
    whole = jax.jit(network.apply)(variables, clip, side=Side(peak=jnp.asarray(PEAKS)))
    infos = [FrameInfo(peak=bool(p)) for p in PEAKS[0]]
    streamed = _stream(network, variables, clip, infos=iter(infos), chunk=chunk)
    np.testing.assert_allclose(streamed, whole[0], atol=1e-6)
    told = enhance(np.asarray(clip[0]), model=(network, variables), side=Side(peak=PEAKS))
    np.testing.assert_allclose(told, np.clip(whole[0], 0, 1), atol=1e-6)


def _by_hand(peaks, t, reach):
    before = [i for i in range(max(0, t - reach), t) if peaks[i]]
    after = [i for i in range(t + 1, min(len(peaks), t + reach + 1)) if peaks[i]]
    return [before[-1] if before else t, t, after[0] if after else t]


@pytest.mark.parametrize("seed", range(5))
def test_nearest_peaks_against_a_search_by_hand(seed):
    peaks = np.random.default_rng(seed).random((1, 30)) < 0.2
    expected = [_by_hand(peaks[0], t, 6) for t in range(30)]
    for array in (peaks, jnp.asarray(peaks)):
        found = NearestPeaks(6, 6).indices(Side(peak=array), 30)
        np.testing.assert_array_equal(found[0], expected)


def test_networks_of_the_readers_own_have_names():
    models.register("peak_difference", PeakDifference)
    try:
        assert isinstance(models.build("peak_difference"), PeakDifference)
        assert "peak_difference" in models.names()
    finally:
        models.unregister("peak_difference")
    assert isinstance(models.build("tests.models.test_contract:Choosy", bits=8), Choosy)
    with pytest.raises(UserError, match="subclass of"):
        models.register("wrong", dict)  # type: ignore[arg-type]


def test_a_struct_may_be_a_dictionary():
    network = models.build("stdf", conditioning={"qps": [22, 37], "interpolate": True})
    assert network.conditioning.qps == (22, 37) and network.conditioning.interpolate
    with pytest.raises(UserError, match=r"stdf.conditioning has no field 'qpz'; did you mean"):
        models.build("stdf", conditioning={"qpz": [22]})
    old = models.build("stdf", qp_conditioning=True, qps=[22, 37], qp_interpolation=True)
    assert old == network
    assert models.build("pequenet", qp_conditioning=False).conditioning is None
