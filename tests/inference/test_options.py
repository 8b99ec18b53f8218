"""Options by name: each goes where it belongs, and a typo is one line."""

import dataclasses

import pytest

from vqe_jax.errors import UserError
from vqe_jax.inference import StreamOptions, enhance_frames
from vqe_jax.inference.file import Reading, Request, enhance_video
from vqe_jax.inference.options import sorted_out


def test_each_option_goes_where_it_belongs():
    given = {"qp": 37, "size": (64, 48), "chunk": 4, "guard": None}
    reading, request, how = sorted_out("x", given, Reading, Request, StreamOptions)
    assert reading == Reading(size=(64, 48))
    assert request == Request(qp=37)
    assert how == StreamOptions(chunk=4, guard=None)


def test_no_name_means_two_things():
    kinds = (Reading, Request, StreamOptions)
    names = [field.name for kind in kinds for field in dataclasses.fields(kind)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tilling": None}, "enhance_frames has no option 'tilling'; did you mean 'tiling'"),
        ({"long_range": "exat"}, "long_range='exat' does not exist; did you mean 'exact'"),
        ({"chunk": 0}, "chunk=0 must be at least 1 frame"),
    ],
)
def test_typos_are_refused_before_anything_is_opened(options, said):
    with pytest.raises(UserError, match=said):
        next(enhance_frames("fast", [], **options))
    said = said.replace("enhance_frames", "enhance_video")
    with pytest.raises(UserError, match=said):
        enhance_video("missing.mp4", "out.mp4", **options)
