import pytest

from tests.inference.networks import StateNet
from tests.video.clips import drifting, info_of, lossless
from vqe_jax.errors import UserError
from vqe_jax.inference.source_qp import choose_qp, measured_qp, mismatch
from vqe_jax.nn.qp_conditioning import Conditioning
from vqe_jax.video import encode_hevc, low_delay_p, mean_p_offset, nominal_qp


class Conditioned(StateNet):
    conditioning: Conditioning | None = Conditioning()


@pytest.mark.parametrize("qp", [22, 32, 37, 42])
def test_a_stream_of_the_recipe_gives_its_qp_back(tmp_path, qp):
    info = info_of()
    path = tmp_path / "a.hevc"
    encode_hevc(drifting(info, 9), path, info, low_delay_p(qp, preset="ultrafast"))
    mean = measured_qp(path)
    assert mean == qp + mean_p_offset(qp) and nominal_qp(mean) == qp
    assert mismatch(mean, (qp,)) is None


def test_a_source_that_does_not_tell(tmp_path):
    info = info_of()
    assert measured_qp(lossless(tmp_path / "a.mkv", info, drifting(info, 2))) is None
    with pytest.raises(UserError, match="--qp 37"):
        choose_qp("auto", None, StateNet())
    assert mismatch(None, (37,)) is None


def test_who_is_told_what():
    assert choose_qp(None, 43.0, StateNet()) is None
    assert choose_qp("auto", 43.0, StateNet()) == 37
    assert choose_qp(30, 43.0, Conditioned()) == 30
    assert choose_qp(None, 40.0, Conditioned()) == 32  # 34 or so, and it knows 32 and 37
    assert choose_qp("auto", 20.0, Conditioned(conditioning=Conditioning(interpolate=True))) == 22
    with pytest.raises(UserError, match="'high'"):
        choose_qp("high", 43.0, StateNet())


def test_a_stream_far_from_the_models_qp():
    assert "25.8 on average" in mismatch(25.75, (37,)) and "43.0" in mismatch(25.75, (37,))
    assert "will lose detail" in mismatch(25.75, (32, 37))
    assert "only a part" in mismatch(43.0, (22,))
    assert mismatch(43.0, (22, 37)) is None
    assert mismatch(43.0, ()) is None
