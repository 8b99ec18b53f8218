"""Systems that exist only as text: their sizes, and what the text says of each."""

import pytest

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import parameter_count

COUNTS = {
    "gogoing": ({}, 45_566_211),
    "gogoing, a picture handed on": ({"handed": "picture"}, 45_569_734),
    "gogoing, narrow U-Net": ({"widths": "same", "skips": "added"}, 5_142_227),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    fields, count = COUNTS[name]
    assert parameter_count(name.split(",")[0], **fields) == count


def test_gogoing_hands_a_picture_on_only_where_it_is_asked_to():
    assert models.build("gogoing").context.outputs == ("offsets",)
    assert models.build("gogoing", handed="picture").context.outputs == ("offsets", "stage1")
    with pytest.raises(UserError, match="handed='frame' does not exist"):
        models.build("gogoing", handed="frame")
    with pytest.raises(UserError, match="reduction=128 leaves no channel of features=64"):
        models.build("gogoing", reduction=128)
