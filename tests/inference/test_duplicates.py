"""Exact copies are enhanced once: what the network sees, what comes out, what is counted."""

import functools

import jax
import numpy as np
import pytest

from tests.inference.networks import BothNet, StateNet, WindowNet, variables_of
from tests.video.clips import drifting, info_of, write
from vqe_jax.inference import enhance_frames
from vqe_jax.inference.duplicates import Copies, each_once
from vqe_jax.inference.file import enhance_video
from vqe_jax.models.side import FrameInfo
from vqe_jax.video import read_frames

SHOWN = (0, 0, 1, 2, 2, 2, 1, 3)  # the second 1 is no copy of the frame before
PICTURES = np.random.default_rng(0).random((4, 8, 8, 1), np.float32)
FRAMES = [PICTURES[i].copy() for i in SHOWN]
DISTINCT = [PICTURES[i] for i in (0, 1, 2, 1, 3)]
RUNS = (2, 1, 3, 1, 1)


@pytest.mark.parametrize("network", [WindowNet(), StateNet(), BothNet()])
def test_a_network_sees_each_picture_once(network):
    ready = network, variables_of(network)
    count = Copies()
    found = np.stack(list(each_once(functools.partial(enhance_frames, ready), FRAMES, count=count)))
    expected = np.stack(list(enhance_frames(ready, DISTINCT)))
    np.testing.assert_array_equal(found, np.repeat(expected, RUNS, axis=0))
    assert count == Copies(frames=8, copies=3)
    plain = np.stack(list(enhance_frames(ready, FRAMES)))
    assert np.abs(found - plain).max() > 1e-4  # copies take the place of other neighbors there


def test_side_information_follows_the_pictures():
    def echo(frames, infos):
        for _, info in zip(frames, infos, strict=True):
            yield np.full((1,), info.qp)

    infos = [FrameInfo(qp=float(n)) for n in range(len(FRAMES))]
    found = [int(x[0]) for x in each_once(echo, FRAMES, infos=infos)]
    assert found == [0, 0, 2, 3, 3, 3, 6, 7]


def test_missing_side_information_ends_the_pictures_too():
    def strict(frames, infos):
        return (f for f, _ in zip(frames, infos, strict=True))

    with pytest.raises(ValueError, match="shorter"):
        list(each_once(strict, FRAMES, infos=[FrameInfo()] * 3))


def test_a_still_picture_does_not_fill_the_memory():
    seen, done = [], []

    def one_by_one(frames, infos):
        for frame in frames:
            seen.append(len(done))
            yield frame

    def still():
        for n in range(200):
            assert n - len(done) < 100  # those that wait
            yield PICTURES[0]

    for result in each_once(one_by_one, still()):
        done.append(result)
    assert len(done) == 200 and 1 < len(seen) < 10


def test_nothing_comes_of_nothing_and_nan_is_no_copy():
    assert list(each_once(lambda frames, infos: iter(frames), [])) == []
    broken = [np.full((2, 2, 1), np.nan, np.float32)] * 2
    assert len(list(each_once(lambda frames, infos: iter(frames), broken, count=Copies()))) == 2


@pytest.mark.parametrize("kind", [StateNet, BothNet])
def test_a_file_keeps_its_frames_and_its_chroma(tmp_path, kind):
    info = info_of()
    pictures = drifting(info, 3)
    source = write(tmp_path / "a_64x48_5.yuv", info, [pictures[i] for i in (0, 1, 1, 1, 2)])
    ready = kind(), jax.tree.map(np.asarray, variables_of(kind()))
    target = tmp_path / "b.y4m"
    done = enhance_video(source, target, model=ready, skip_duplicates=True, scene_cut=None)
    assert (done.frames, done.copies) == (5, 2)
    luma = [frame.planes[0] for frame in read_frames(target)]
    assert np.array_equal(luma[1], luma[2]) and np.array_equal(luma[2], luma[3])
    assert not np.array_equal(luma[0], luma[1])
    assert enhance_video(source, tmp_path / "c.y4m", model=ready).copies is None
