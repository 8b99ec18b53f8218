"""The papers' tables from values chosen by hand."""

import numpy as np
import pytest

from tests.evaluation.tiny import clip, model
from vqe_jax.evaluation.comparisons import comparison_tables
from vqe_jax.evaluation.measure import ClipResult
from vqe_jax.evaluation.metrics import ClipMetric, Metrics
from vqe_jax.evaluation.records import clips_of, records_of, values_of
from vqe_jax.evaluation.tables import all_tables, fluctuation_table, gain_table, rate_table
from vqe_jax.metrics import Protocol, bd_rate, protocol
from vqe_jax.sequences import class_of

PSNR, SSIM = protocol("psnr_y"), protocol("ssim_y")


def result(name, before, gain, *, ssim=0.9, ssim_gain=0.01, width=24, **options):
    before = np.array(before, np.float32)
    values = {
        "psnr_y": {"compressed": before, "m": before + np.float32(gain)},
        "ssim_y": {
            "compressed": np.full(len(before), ssim, np.float32),
            "m": np.full(len(before), ssim + ssim_gain, np.float32),
        },
    }
    made = clip(name, count=len(before), width=width, **options)
    return ClipResult(made, values, {"m": 10.0}, {"m": ()}, {})


def of(results):
    """The values and the clips of results, as tables take them."""
    values = values_of(records_of(results))
    return values, clips_of(values)


def test_gains_are_printed_as_the_papers_print_them():
    """Videos count alike, long or short; SSIM in hundredths; sequences by class."""
    results = [
        result("RaceHorses_416x240_300", [30.0] * 9, 1.0, width=416),
        result("BQSquare_416x240_600", [32.0], 0.5, width=416, ssim_gain=0.02),
        result("Kimono1_1920x1080_24", [34.0], 0.3, width=1920),
    ]
    tables = all_tables(of(results)[0], [model("m")], Metrics((PSNR, SSIM)))
    gain = next(t for t in tables if t.title == "Gain, QP 37")
    assert gain.header[:2] == ("class", "sequence")
    assert [row[:2] for row in gain.rows] == [
        ("B", "Kimono1"),
        ("D", "RaceHorses"),
        ("D", "BQSquare"),
        ("D", "mean"),
        ("", "average of 3"),
    ]
    assert gain.rows[1][2:] == ("30.00 / 0.9000", "+1.000 / +1.00")
    assert gain.rows[3][3] == "+0.750 / +1.50"
    assert gain.rows[4][2:] == ("32.00 / 0.9000", "+0.600 / +1.33")
    assert "neither rounded nor clipped" in gain.note
    assert "**+0.600 / +1.33**" in gain.markdown()


def test_clips_without_classes_need_no_column_for_them():
    table = gain_table(*of([result("cat", [30.0, 31.0], 0.25)]), ["m"], [PSNR])
    assert table.header[0] == "sequence"
    assert table.rows[0] == ("cat", "30.50", "+0.250")


def test_fluctuation_of_a_saw():
    saw = [31.0, 30.0, 33.0, 29.0, 32.0]
    table = fluctuation_table(*of([result("cat", saw, [0, 1, 0, 2, 0], qp=None)]), ["m"], PSNR)
    assert table.title == "Fluctuation"
    assert table.rows[0] == (
        "cat",
        f"3.00 / {np.std(saw):.2f}",
        f"2.00 / {np.std([31, 31, 33, 31, 32]):.2f}",
    )


def test_rates_need_four_points_and_agree_with_the_metric():
    def at(qp, kbps, level):
        return result("cat", [level], 0.5, qp=qp, kbps=kbps)

    curve = [at(37, 100.0, 30.0), at(32, 200.0, 33.0), at(27, 400.0, 36.0), at(22, 800.0, 39.0)]
    assert rate_table(of(curve[:3])[0], ["m"], PSNR) is None
    table = rate_table(of(curve)[0], ["m"], PSNR)
    rates, psnrs = [100.0, 200.0, 400.0, 800.0], [30.0, 33.0, 36.0, 39.0]
    expected = bd_rate(rates, psnrs, rates, [p + 0.5 for p in psnrs])
    assert table.rows[0] == ("cat", f"{expected:+.2f} / +0.500")
    assert "QPs 22, 27, 32, 37" in table.note


def test_curves_without_common_ground_do_not_spoil_the_report():
    levels = zip((37, 32, 27, 22), (1.0, 2.0, 4.0, 8.0), (30, 31, 32, 33), strict=True)
    curve = [result("cat", [float(p)], 50.0, qp=qp, kbps=kbps) for qp, kbps, p in levels]
    assert rate_table(of(curve)[0], ["m"], PSNR).rows[0][1].startswith("+nan / +50.0")


def test_each_qp_has_its_tables():
    results = [result("cat", [30.0], 0.5, qp=37), result("cat", [33.0], 0.4, qp=32)]
    titles = [t.title for t in all_tables(of(results)[0], [model("m")], Metrics((PSNR,)))]
    assert titles == [
        "Gain, QP 32",
        "Fluctuation, QP 32",
        "Gain, QP 37",
        "Fluctuation, QP 37",
        "Models",
    ]


@pytest.mark.parametrize(
    ("name", "width", "letter"),
    [("Traffic_2560x1600_150", 2560, "A"), ("FourPeople", 1280, "E"), ("RaceHorses", 832, "C"),
     ("RaceHorses", 416, "D"), ("BQMall_832x480_600", 832, "C"), ("tennis_432x240", 432, "")],
)  # fmt: skip
def test_classes_of_the_test_sequences(name, width, letter):
    assert class_of(name, width) == letter


LPIPS = Protocol("lpips_alex", "lpips", "rgb", "uint8", "LPIPS", abs, higher_is_better=False)
KID = ClipMetric("kid", "rgb", "KID", lambda *_: 0.0)


def compared(name, psnr, lpips, kid=None):
    """A clip with the values of two models and of what they were given."""
    columns = ("compressed", "m", "n")
    values = {
        "psnr_y": {k: np.full(2, v, np.float32) for k, v in zip(columns, psnr, strict=True)},
        "lpips_alex": {k: np.full(2, v, np.float32) for k, v in zip(columns, lpips, strict=True)},
    }
    totals = {} if kid is None else {"kid": dict(zip(columns, kid, strict=True))}
    return ClipResult(clip(name, count=2), values, {}, {}, {}, totals)


def test_models_are_compared_in_the_forms_of_the_papers():
    results = [
        compared("a", (30.0, 31.0, 29.0), (0.3, 0.25, 0.125), kid=(0.5, 0.25, 0.125)),
        compared("b", (32.0, 32.5, 31.0), (0.5, 0.35, 0.375)),
    ]
    metrics = Metrics((PSNR, LPIPS), (KID,), {"fid": "no weights"})
    tables = comparison_tables(*of(results), ["m", "n"], metrics)
    distances, by_clip, averages = tables
    assert distances.title == "lpips_alex, QP 37"
    assert distances.header == ("sequence", "compressed", "m", "n")
    assert distances.rows == (
        ("a", "0.3000", "0.2500", "0.1250"),
        ("b", "0.5000", "0.3500", "0.3750"),
        ("average of 2", "0.4000", "0.3000", "0.2500"),
    )
    assert by_clip.header == ("model", "a", "b", "average")
    assert by_clip.rows[1] == ("m", "31.00", "32.50", "31.75")
    assert averages.header == ("model", "psnr_y ↑", "lpips_alex ↓", "kid ↓", "fid")
    assert averages.rows[2] == ("n", "30.00", "0.2500", "0.1250", "missing")
    assert "Missing: fid, which cannot be measured here" in averages.note


def test_one_metric_of_one_model_needs_no_comparison():
    assert comparison_tables(*of([result("cat", [30.0], 0.5)]), ["m"], Metrics((PSNR,))) == []
