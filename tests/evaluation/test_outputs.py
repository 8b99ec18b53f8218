import dataclasses

import jax
import numpy as np
import pytest

from tests.evaluation.tiny import clip, model
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.evaluation.models import Choice, EvalModel
from vqe_jax.evaluation.outputs import draw_all_steps, steps_of, with_outputs
from vqe_jax.models.shapes import initial_variables
from vqe_jax.weights import ModelFile

SMALL = {"features": 4, "blocks": 1, "flow_levels": 2, "flow_widths": (4,)}

OUTPUTS = ("stage1", "enhance2", "enhance1", "fuse", "fuse_sharp")


@pytest.fixture(scope="module")
def astf():
    variables = initial_variables(models.build("astf", **SMALL), jax.random.key(0))
    file = ModelFile("astf", SMALL, jax.tree.map(np.array, variables), color="rgb")
    return EvalModel("astf", (Choice((file,), "astf.safetensors"),))


def _rgb_clip():
    luma = clip(height=64, width=72, count=3)
    read = luma.reader
    return dataclasses.replace(
        luma, reader=lambda side, color: (np.repeat(f, 3, -1) for f in read(side, "luma"))
    )


def test_a_row_for_every_step(astf):
    rows = with_outputs([astf], ["all"])
    assert [r.label for r in rows] == list(OUTPUTS)
    assert [r.choices[0].files[0].kwargs["output"] for r in rows] == list(OUTPUTS)
    assert with_outputs([astf], []) == [astf]
    two = with_outputs([astf, dataclasses.replace(astf, label="b")], ["fuse"])
    assert [r.label for r in two] == ["astf:fuse", "b:fuse"]


def test_mistakes_are_said(astf):
    with pytest.raises(UserError, match="did you mean 'fuse'"):
        with_outputs([astf], ["fused"])
    with pytest.raises(UserError, match=r"same \(vig\) has one output only"):
        with_outputs([model("same")], ["all"])


def test_strip_shows_the_way_from_input_to_truth(astf, tmp_path):
    pictures = steps_of(astf.choices[0].files[0], _rgb_clip())
    assert list(pictures) == [
        "compressed",
        "stage1",
        "enhance2",
        "enhance1",
        "mask",
        "fuse",
        "fuse_sharp",
        "raw",
    ]
    assert pictures["mask"].shape == (64, 72, 1)
    assert 0 <= pictures["mask"].min() < pictures["mask"].max() <= 1
    draw_all_steps([astf], [_rgb_clip()], tmp_path)
    assert (tmp_path / "clip_astf_steps.png").stat().st_size > 1000
