import pytest

from tests.video.clips import drifting, info_of, noise, with_sound, write
from vqe_jax.errors import UserError
from vqe_jax.video import FrameQP, encoder_settings, frame_qps, frame_types, mean_p_qp
from vqe_jax.video.headers import trace

STREAMS = {
    "bframes": ("libx265", {"x265-params": "bframes=4:keyint=10"}),
    "open_gop": ("libx265", {"x265-params": "open-gop=1:keyint=6:min-keyint=6:bframes=3"}),
    "pyramid": ("libx265", {"x265-params": "b-pyramid=1:bframes=8:b-adapt=0:keyint=50"}),
    "x264": ("libx264", {"bf": "3", "g": "8"}),
    "x264_p": ("libx264", {"bf": "0", "qp": "30"}),
}


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", "raw"])
@pytest.mark.parametrize("name", STREAMS)
def test_types_from_headers_are_those_of_the_decoder(tmp_path, name, suffix):
    codec, options = STREAMS[name]
    if suffix == "raw":
        suffix = ".hevc" if codec == "libx265" else ".h264"
    info = info_of()
    frames = drifting(info, 15) + noise(info, 10)
    path = write(tmp_path / f"a{suffix}", info, frames, codec=codec, options=options)
    found = frame_qps(path)
    assert [f.frame_type for f in found] == frame_types(path)
    assert all(0 <= f.qp <= 51 for f in found)
    if name == "x264_p":
        assert {f.qp for f in found if f.frame_type == "P"} == {30}


def test_types_of_a_codec_without_readable_headers(tmp_path):
    info = info_of()
    path = write(tmp_path / "a.avi", info, drifting(info, 6), codec="mpeg4", options={"bf": "1"})
    assert frame_types(path)[0] == "I" and {"P", "B"} <= set(frame_types(path))
    with pytest.raises(UserError, match="not from mpeg4"):
        frame_qps(path)


def test_block_wise_qps_are_not_called_exact(tmp_path):
    info = info_of()
    path = write(tmp_path / "a.mkv", info, drifting(info, 3), options={"crf": "30"})
    assert not any(f.exact for f in frame_qps(path))


def test_the_first_few_are_enough(tmp_path):
    path = with_sound(tmp_path / "a.mkv")
    assert len(frame_qps(path, limit=4)) == 4


def test_the_settings_of_x264_and_x265(tmp_path):
    info = info_of()
    path = write(tmp_path / "a.mkv", info, drifting(info, 2), options={"crf": "23.5"})
    assert encoder_settings(path)["crf"] == "23.5" and encoder_settings(path)["rc"] == "crf"
    assert encoder_settings(path)["open-gop"] in "01"
    path = write(tmp_path / "b.mkv", info, drifting(info, 2), codec="libx264")
    assert encoder_settings(path)["rc"] == "crf"
    path = write(tmp_path / "c.mkv", info, drifting(info, 2), codec="ffv1")
    assert encoder_settings(path) is None


def test_mean_over_p_frames():
    assert mean_p_qp([]) is None
    assert mean_p_qp([FrameQP(0, None, None)]) is None
    assert mean_p_qp([FrameQP(0, 30, "I"), FrameQP(1, 34, "I")]) == 32
    assert mean_p_qp([FrameQP(0, 10, "I"), FrameQP(1, 34, "P"), FrameQP(2, 50, "B")]) == 34


def test_the_reference_encoders_streams(shared):
    """HM 16.25's low-delay P streams at QP 37 have the pattern that its log states."""
    folder = shared / "data" / "bitstreams" / "val" / "carphone_176x144"
    found = frame_qps(folder / "hm1625_ldp_gop4_qp37.hevc")
    pattern = [38, 45, 44, 45]
    assert [f.qp for f in found] == [36, *(pattern[i % 4] for i in range(1, 120))]
    assert [f.poc for f in found] == list(range(120)) and all(f.exact for f in found)
    kvazaar = frame_qps(folder / "kvz_qp37.hevc")
    assert [f.qp for f in kvazaar[:5]] == [36, 45, 44, 45, 38]


def test_tracing_can_stop_early_and_leaves_the_log_as_it_was(tmp_path):
    import av

    path = with_sound(tmp_path / "a.mkv")
    before = av.logging.get_level()
    packets = trace(path)
    assert next(packets).last("slice_type") is not None
    packets.close()
    assert av.logging.get_level() == before
