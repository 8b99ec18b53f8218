import numpy as np
import pytest

from tests.video.clips import drifting, info_of
from vqe_jax.errors import UserError
from vqe_jax.video import (
    FrameQP,
    encode_hevc,
    encoder_settings,
    frame_qps,
    low_delay_p,
    mean_p_offset,
    open_reader,
    read_frames,
    two_pass,
)

# As the reference encoder's log has them: the first frame, then places 1, 2, 3 and 0 of a group.
HM = {
    22: (21, 27, 26, 27, 23),
    27: (26, 32, 31, 32, 28),
    32: (31, 39, 38, 39, 33),
    37: (36, 45, 44, 45, 38),
    42: (41, 50, 49, 50, 43),
}


@pytest.mark.parametrize("qp", HM)
@pytest.mark.parametrize("suffix", ["hevc", "mkv"])
def test_the_bitstream_has_the_reference_encoders_qps(tmp_path, qp, suffix):
    path = tmp_path / f"a.{suffix}"
    info = info_of()
    encode_hevc(drifting(info, 10), path, info, low_delay_p(qp, preset="ultrafast", threads=1))
    wanted = [HM[qp][0], *(HM[qp][1 + (i - 1) % 4] for i in range(1, 10))]
    assert frame_qps(path) == [
        FrameQP(i, q, "P" if i else "I", exact=True) for i, q in enumerate(wanted)
    ]


def test_low_delay_p_of_ten_bits_from_a_reader(tmp_path):
    info = info_of(10)
    encode_hevc(drifting(info, 5), tmp_path / "a.mkv", info, low_delay_p(22))
    encode_hevc(open_reader(tmp_path / "a.mkv"), tmp_path / "b.mkv", info, low_delay_p(32))
    found = read_frames(tmp_path / "b.mkv")
    error = found[0].planes[0].astype(float) - drifting(info, 1)[0].planes[0]
    assert len(found) == 5 and np.mean(error**2) < 150  # of 1023**2: above 38 dB
    assert [f.qp for f in frame_qps(tmp_path / "b.mkv")] == [31, 39, 38, 39, 33]


def test_two_passes(tmp_path):
    info = info_of()
    encode_hevc(drifting(info, 8), tmp_path / "a.hevc", info, two_pass(100, threads=1))
    settings = encoder_settings(tmp_path / "a.hevc")
    assert settings["bitrate"] == "100" and settings["stats-read"] == "2"
    assert [p.name for p in tmp_path.iterdir()] == ["a.hevc"]
    assert len(read_frames(tmp_path / "a.hevc")) == 8


def test_every_qp_stays_in_range():
    for qp in range(1, 52):
        assert all(0 <= low_delay_p(qp).frame_qp(i) <= 51 for i in range(9))
    assert mean_p_offset(22) == (5 + 4 + 5 + 1) / 4


@pytest.mark.parametrize("make", [lambda: low_delay_p(0), lambda: low_delay_p(52)])
def test_qp_out_of_range(make):
    with pytest.raises(UserError, match="out of range"):
        make()


def test_a_rate_of_nothing():
    with pytest.raises(UserError, match="0 kbit/s"):
        two_pass(0)


def test_frames_that_can_be_read_only_once(tmp_path):
    info = info_of()
    with pytest.raises(UserError, match="give a reader or a list"):
        encode_hevc(iter(drifting(info, 2)), tmp_path / "a.hevc", info, low_delay_p(37))
