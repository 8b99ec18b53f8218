"""Neighbors, pieces and scenes of a stream."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vqe_jax.inference.scenes import SceneCut, scenes
from vqe_jax.inference.windows import chunks, overlapping, windows


@settings(deadline=None)
@given(count=st.integers(0, 12), past=st.integers(0, 4), future=st.integers(0, 4))
def test_neighbours_are_clamped_indices(count, past, future):
    expected = [
        tuple(min(max(j, 0), count - 1) for j in range(i - past, i + future + 1))
        for i in range(count)
    ]
    assert list(windows(range(count), past, future)) == expected


@settings(deadline=None)
@given(
    count=st.integers(0, 15),
    size=st.integers(1, 6),
    past=st.integers(0, 3),
    future=st.integers(0, 3),
)
def test_pieces_hold_the_windows_of_their_frames(count, size, past, future):
    expected = list(windows(range(count), past, future))
    got = []
    for piece, wanted in chunks(range(count), size, past, future):
        assert wanted <= size
        got += [piece[i : i + past + 1 + future] for i in range(wanted)]
        assert count < size or len(piece) == past + size + future
    assert got == expected


@settings(deadline=None)
@given(count=st.integers(0, 30), size=st.integers(2, 9), data=st.data())
def test_overlapping_pieces_cover_the_stream(count, size, data):
    overlap = data.draw(st.integers(0, size // 2))
    pieces = list(overlapping(range(count), size, overlap))
    rebuilt = list(pieces[0]) if pieces else []
    for before, piece in itertools.pairwise(pieces):
        assert piece[:overlap] == before[size - overlap :]
        assert len(piece) > overlap
        rebuilt += piece[overlap:]
    assert rebuilt == list(range(count))


def test_a_cut_splits_but_a_pan_and_a_fade_do_not():
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.linspace(0.2, 0.6, 64), np.linspace(0, 0.3, 200))[..., None]
    pan = [smooth[:, i : i + 96].astype(np.float32) for i in range(0, 60, 10)]
    fade = [pan[-1] * level for level in np.linspace(1, 0.6, 6, dtype=np.float32)]
    other = (0.9 - 0.2 * rng.random((64, 96, 1))).astype(np.float32)
    split = [len(list(scene)) for scene in scenes([*pan, *fade, other, other], SceneCut())]
    assert split == [12, 2]
