"""Streams against whole clips, for every kind of context."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inference.networks import BothNet, StateNet, WindowNet, variables_of
from vqe_jax.errors import UserError
from vqe_jax.inference import SceneCut, enhance_frames
from vqe_jax.programs import counted

NETWORKS = {"none": WindowNet(), "forward": StateNet(), "both": BothNet()}


def clip_of(frames=7, height=10, width=14, seed=0):
    return np.random.default_rng(seed).random((frames, height, width, 1), np.float32)


def run(network, clip, **options):
    variables = variables_of(network)
    out = list(enhance_frames(network, clip, variables=variables, **options))
    return np.stack(out) if out else np.zeros((0,))


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_a_stream_equals_the_whole_clip(kind, frames):
    network, clip = NETWORKS[kind], clip_of(frames)
    whole = jax.jit(network.apply)(variables_of(network), clip[None])[0]
    np.testing.assert_allclose(run(network, clip), whole, atol=2e-6)


@pytest.mark.parametrize("kind", NETWORKS)
def test_how_frames_are_fed_changes_no_bit(kind):
    network, clip = NETWORKS[kind], clip_of()

    def in_pieces():
        yield from clip[:3]
        yield from (frame for frame in clip[3:4])
        yield from jax.numpy.asarray(clip[4:])

    assert np.array_equal(run(network, clip), run(network, in_pieces()))


@settings(max_examples=6, deadline=None)
@given(chunk=st.integers(1, 9), frames=st.integers(1, 9))
def test_a_window_networks_chunk_changes_no_bit(chunk, frames):
    clip = clip_of(frames)
    reference = run(NETWORKS["none"], clip, chunk=4)
    assert np.array_equal(run(NETWORKS["none"], clip, chunk=chunk), reference)


@pytest.mark.parametrize("kind", ["none", "forward"])
def test_memory_is_bounded_results_come_while_frames_arrive(kind):
    taken = 0

    def counted():
        nonlocal taken
        for frame in clip_of(40):
            taken += 1
            yield frame

    network = NETWORKS[kind]
    for done, _ in enumerate(
        enhance_frames(network, counted(), variables=variables_of(network), chunk=4), 1
    ):
        assert taken - done <= 6  # the look-ahead, the frame in flight and a chunk


@pytest.mark.parametrize("kind", NETWORKS)
def test_no_frames_give_no_frames(kind):
    assert run(NETWORKS[kind], []).size == 0


@pytest.mark.parametrize("kind", NETWORKS)
def test_scenes_are_enhanced_as_if_alone(kind):
    dark, light = 0.1 * clip_of(4, seed=1), 0.7 + 0.3 * clip_of(5, seed=2)
    together = run(NETWORKS[kind], np.concatenate([dark, light]), scene_cut=SceneCut())
    apart = np.concatenate([run(NETWORKS[kind], dark), run(NETWORKS[kind], light)])
    assert np.array_equal(together, apart)
    assert not np.array_equal(run(NETWORKS[kind], np.concatenate([dark, light])), apart)


def test_fast_mode_meets_the_whole_clip_where_a_piece_holds_it_all():
    clip = clip_of(9)
    whole = run(NETWORKS["both"], clip)
    fast = run(NETWORKS["both"], clip, long_range="fast", chunk=9, overlap=4)
    np.testing.assert_allclose(fast, whole, atol=2e-6)


def test_fast_mode_comes_closer_with_more_overlap():
    clip = clip_of(24)
    whole = run(NETWORKS["both"], clip)

    def distance(overlap):
        fast = run(NETWORKS["both"], clip, long_range="fast", chunk=10, overlap=overlap)
        assert fast.shape == whole.shape
        return np.abs(fast - whole).mean()

    assert distance(5) < distance(2) < distance(0)


@pytest.mark.parametrize(
    ("frames", "options", "said"),
    [
        ((255 * clip_of(1)).astype(np.uint8), {}, r"uint8.*/ 255"),
        (255 * clip_of(1), {}, "divide them by 255"),
        (clip_of(1)[..., 0], {}, r"\[h, w, c\]"),
        ([*clip_of(1), *clip_of(1, height=12)], {}, "one size"),
        (clip_of(1), {"qp": 60}, "0 to 51"),
        (clip_of(1), {"chunk": 0}, "at least 1"),
    ],
)
def test_mistakes_get_one_clear_line(frames, options, said):
    with pytest.raises(UserError, match=said) as caught:
        run(NETWORKS["forward"], frames, **options)
    assert "\n" not in str(caught.value)


def test_a_module_without_variables_is_refused():
    with pytest.raises(UserError, match="without variables"):
        enhance_frames(StateNet(), clip_of(1))


@pytest.mark.parametrize("network", [WindowNet(), StateNet(), BothNet()], ids=type)
def test_sizes_that_are_padded_to_the_same_one_share_their_programs(network):
    variables = variables_of(network)
    clip = clip_of(4, 23, 27)
    whole = jax.jit(network.apply)(variables, clip[None])[0]
    list(enhance_frames(network, clip_of(4, 24, 28), variables=variables))
    with counted() as count:
        found = np.stack(list(enhance_frames(network, clip, variables=variables)))
    assert count.programs == 0
    assert found.shape == clip.shape
    np.testing.assert_allclose(found, whole, atol=1e-6)
