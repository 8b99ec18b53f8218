"""Networks that look at peak-quality frames, on files."""

import jax
import numpy as np
import pytest

from tests.models.test_contract import PeakDifference
from tests.video.clips import drifting, info_of, lossless
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.inference import enhance
from vqe_jax.inference.file import enhance_video
from vqe_jax.inference.source_frames import source_frames
from vqe_jax.models import Side
from vqe_jax.models.shapes import initial_variables
from vqe_jax.video import CODECS, encode_hevc, low_delay_p, luma, open_reader, peaks_every


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    info = info_of()
    path = tmp_path_factory.mktemp("peaks") / "a.hevc"
    encode_hevc(drifting(info, 13), path, info, low_delay_p(37, preset="ultrafast"))
    return path


@pytest.mark.parametrize("peaks", ["qp", 3])
def test_a_file_gives_what_its_clip_gives(stream, tmp_path, peaks):
    network = PeakDifference()
    model = (network, initial_variables(network, jax.random.key(1)))
    out = tmp_path / "out.mkv"
    assert enhance_video(stream, out, model=model, codec="ffv1", peaks=peaks).frames == 13
    with open_reader(stream) as reader:
        clip = np.stack([luma(f, reader.info)[..., None] for f in reader])
    known = Side(peak=np.array([peaks_every(4 if peaks == "qp" else peaks, 13)]))
    expected = enhance(clip, model=model, side=known)
    with open_reader(out) as reader:
        written = np.stack([luma(f, reader.info)[..., None] for f in reader])
    np.testing.assert_allclose(written, expected, atol=1.01 / 255)


def test_a_source_without_qps_says_what_to_do(tmp_path):
    info = info_of()
    path = lossless(tmp_path / "a.mkv", info, drifting(info, 6))
    with pytest.raises(UserError, match=r"PeakDifference needs peak.*--peaks qp, measure"):
        source_frames(path, PeakDifference())
    assert [i.peak for i in source_frames(path, PeakDifference(), 4)] == peaks_every(4, 6)
    assert len(source_frames(path, PeakDifference(), "measure")) == 6


def test_a_network_that_reads_what_is_known_takes_any_source(stream, tmp_path):
    network = models.build("vig", width=4, down_widths=(8, 12, 12), told=True)
    of_stream = source_frames(stream, network)
    assert len(of_stream) == 13 and {i.codec for i in of_stream} == {CODECS["hevc"]}
    assert min(i.qp for i in of_stream) > 30
    info = info_of()
    path = lossless(tmp_path / "a.mkv", info, drifting(info, 6))
    assert [(i.qp, i.codec) for i in source_frames(path, network)] == [(-1, CODECS["none"])]
    assert [(i.qp, i.codec) for i in source_frames(path, network, qp=40)] == [(40, 0)]
    assert source_frames(stream, network, qp=12) == of_stream  # which tells its own
    model = (network, initial_variables(network, jax.random.key(1)))
    assert enhance_video(path, tmp_path / "out.mkv", model=model, codec="ffv1").frames == 6
