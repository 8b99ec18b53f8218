"""Tables of papers: the published rows, and ours among them."""

import dataclasses

import numpy as np
import pytest

from tests.evaluation.tiny import clip, model
from vqe_jax.errors import UserError
from vqe_jax.evaluation.measure import ClipResult
from vqe_jax.evaluation.papers import PAPERS, Evidence, read_published

MISSING = {"fid": "no weights of Inception", "vmaf": "no ffmpeg"}
ENVIRONMENT = {"jax": "0.9", "device": "cpu: cpu", "cpu": "2 cores"}


def result(name, origin, metrics, *, qp=37, size=(24, 20), fps=4.0, totals=()):
    """A clip of two frames; metrics: name -> (compressed, model "m")."""
    pictures = clip(name, count=2, qp=qp, width=size[0], height=size[1])
    names = ("compressed", "m")
    values = {
        metric: {label: np.asarray(v, np.float32) for label, v in zip(names, pair, strict=True)}
        for metric, pair in metrics.items()
    }
    return ClipResult(
        dataclasses.replace(pictures, origin=origin),
        values,
        {"m": fps},
        {"m": ()},
        {},
        totals=dict(totals),
    )


def tables_of(paper, results, missing=(), models=None):
    found = Evidence(results, models or [model("m")], dict(missing), ENVIRONMENT)
    return {t.title: t for t in PAPERS.get(paper).tables(found)}


@pytest.mark.parametrize("track", ["track1", "track3"])
def test_published_averages_are_those_of_the_videos(track):
    """Wherever a digit was misread, a row's mean would be off."""
    for team, *cells in read_published("ntire2021")[track].rows:
        videos, average = [float(c) for c in cells[:10]], float(cells[10])
        assert np.mean(videos) == pytest.approx(average, abs=0.0101), team
        assert 0.92 < float(cells[11]) < 0.96


def test_published_opinions_and_sequences_average_too():
    for team, *cells in read_published("ntire2021")["track2"].rows:
        assert np.mean([float(c) for c in cells[:10]]) == pytest.approx(float(cells[10]), abs=1), (
            team
        )
    *sequences, mean = read_published("powervqe")["luma"].rows
    columns = np.array([row[1:] for row in sequences], float)
    np.testing.assert_allclose(columns.mean(axis=0), np.array(mean[1:], float), atol=6e-4)


def test_measured_rows_stand_above_the_published_ones():
    results = [
        result(f"test_{n:03d}", "ldv/track1/test",
               {"psnr_rgb_uint8": ([30.0, 30.0 + n], [31.0, 31.0 + n]),
                "ms_ssim_rgb": ([0.9, 0.9], [0.95, 0.96])},
               totals={"kid": {"compressed": 0.03, "m": 0.02}})
        for n in (1, 3)
    ]  # fmt: skip
    found = tables_of("ntire2021", results, MISSING)
    first = found["NTIRE 2021, Table 1: Track 1, fixed QP, fidelity"]
    assert "Measured here on 2 of the 10 videos" in first.note
    assert first.rows[0][:4] == ("compressed (here)", "30.50", "-", "31.50")
    assert first.rows[1][-2:] == ("32.00", "0.9550")
    assert first.rows[2][0] == "BILIBILI AI & FDU" and first.rows[-1][0] == "Unprocessed video"
    second = found["NTIRE 2021, Table 2: Track 2, fixed QP, perceptual"]
    measured = dict(zip(second.header, second.rows[1], strict=True))
    assert (measured["FID"], measured["KID"], measured["MOS #1"]) == ("missing", "0.0200", "-")
    assert "Missing here: fid, vmaf" in second.note
    third = found["NTIRE 2021, Table 3: Track 3, fixed bit rate, fidelity"]
    assert third.rows == read_published("ntire2021")["track3"].rows
    assert "Nothing was measured on these videos: they need LDV's test set" in third.note


def test_other_clips_have_tables_of_the_same_form():
    values = {"psnr_rgb_uint8": ([30.0] * 2, [31.0] * 2)}
    results = [result("cat", "", values, fps=2.0), result("dog", "", values, size=(48, 20))]
    averaged = dataclasses.replace(model("m"), ensemble="x8")
    found = tables_of("ntire2021", results, MISSING, [averaged])
    fidelity = found["Tables 1 and 3 on these clips"]
    assert fidelity.header == ("model", "cat", "dog", "PSNR", "MS-SSIM")
    assert fidelity.rows[1] == ("m", "31.00", "31.00", "31.00", "-")
    perceptual = found["Table 2 on these clips"]
    assert perceptual.rows[0] == ("compressed", "-", "missing", "-", "missing")
    assert "FID is missing: no weights of Inception." in perceptual.note
    time = found["Table 4, measured here"]
    row = dict(zip(time.header, time.rows[0], strict=True))
    assert (row["s/frame at 24x20"], row["s/frame at 48x20"]) == ("0.5", "0.25")
    assert (row["Platform"], row["Device"]) == ("JAX 0.9", "cpu: cpu; 2 cores")
    assert row["Ensemble / fusion"] == "mirrors and turns x8"
    assert row["Parameters"] == f"{averaged.parameters:,}"


def test_powervqe_has_its_own_protocol():
    results = [
        result("RaceHorses_416x240_300", "jct_vc/qp37/test", {"psnr_y_uint8": ([29, 30], [30, 31])},
               size=(416, 240)),
        result("Kimono1_1920x1080_24", "jct_vc/qp37/test", {"psnr_y_uint8": ([34, 35], [35, 37])},
               size=(1920, 1080)),
        result("Traffic_2560x1600_150", "jct_vc/qp37/test", {"psnr_y_uint8": ([90, 90], [99, 99])},
               size=(2560, 1600)),
        result("002", "clips/ldv_v2/test", {"psnr_rgb_uint8": ([100, 30], [100, 31])}),
        result("test_003", "ldv_v2/qp37/test", {"psnr_rgb_uint8": ([28, 28], [28.5, 29.5])}),
    ]  # fmt: skip
    found = tables_of("powervqe", results)
    rgb = found["PowerVQE, PSNR of RGB, LDV v2, 15 test videos"]
    # The first frame of 002 is black and does not count.
    assert rgb.rows[0][-2:] == ("29.000 (of 2)", "30.000 (of 2)")
    assert "on 2 of the 15 videos" in rgb.note
    luma = found["PowerVQE, PSNR of Y, 16 sequences of MFQE 2.0"]
    rows = {row[0]: row for row in luma.rows}
    assert luma.header[-3:] == ("BasicVSR++", "compressed (here)", "m (here)")
    assert rows["Kimono"][-3:] == ("35.849", "34.500", "36.000")
    assert rows["RaceHorses (D)"][-2:] == ("29.500", "30.500")
    assert rows["RaceHorses (C)"][-2:] == ("-", "-")
    assert rows["mean of 16"][-2:] == ("32.000 (of 2)", "33.250 (of 2)")
    assert "2 of the 16 sequences" in luma.note and "Not here: ParkScene, Cactus" in luma.note


def test_papers_that_are_not_known_are_named():
    with pytest.raises(UserError, match="did you mean 'ntire2021'"):
        PAPERS.get("ntire21")
