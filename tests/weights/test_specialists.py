from pathlib import Path

import pytest

from tests.video.clips import drifting, info_of
from vqe_jax.inference.file import Request, prepare
from vqe_jax.video import encode_hevc, low_delay_p, open_reader
from vqe_jax.weights import DEFAULT_MODEL, packaged_for, packaged_models
from vqe_jax.weights.specialists import SPECIALISTS


def test_every_specialist_is_packaged():
    assert {one.model for one in SPECIALISTS} <= set(packaged_models())


@pytest.mark.parametrize("one", SPECIALISTS, ids=lambda one: one.model)
def test_it_is_taken_within_its_bounds_alone(one):
    codec = next(iter(one.codecs))
    for mean in (one.lowest, (one.lowest + one.highest) / 2, one.highest):
        assert packaged_for(codec, mean) == one.model
    for mean in (one.lowest - 0.1, one.highest + 0.1, None):
        assert packaged_for(codec, mean) == DEFAULT_MODEL
    assert packaged_for("prores", one.lowest) == DEFAULT_MODEL


@pytest.mark.parametrize(("qp", "model"), [(27, "any"), (37, "stdf_qp37"), (47, "any")])
def test_a_source_gets_what_is_measured_better_for_it(tmp_path, qp, model):
    info = info_of()
    encode_hevc(drifting(info, 5), tmp_path / "a.hevc", info, low_delay_p(qp, preset="ultrafast"))

    def prepared(**asked: str) -> str | None:
        with open_reader(tmp_path / "a.hevc") as reader:
            return prepare(reader, Path(tmp_path, "b.mkv"), Request(**asked, force=True)).model

    assert prepared() == model
    assert prepared(model="any") == "any"
