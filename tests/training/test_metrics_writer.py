import io
import json
import sys

import pytest

from vqe_jax.errors import UserError
from vqe_jax.training.meter import Meter
from vqe_jax.training.metrics_writer import MetricsWriter


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_line_a_record_and_one_for_people(tmp_path):
    output = io.StringIO()
    with MetricsWriter(tmp_path, total_steps=1000, output=output) as writer:
        writer.begin(0)
        writer.train(100, "main", {"loss": 0.5, "learning_rate": 1e-4, "steps_per_second": 2.0})
        record = {
            "delta_psnr_mean": 0.25,
            "delta_psnr_worst": -0.5,
            "worst_clip": "x",
            "score": 0.1,
        }
        writer.validation(100, "main", record, note=", best so far")
    assert records(tmp_path)[0] == {
        "step": 100,
        "kind": "train",
        "stage": "main",
        "loss": 0.5,
        "learning_rate": 1e-4,
        "steps_per_second": 2.0,
    }
    first, second = output.getvalue().splitlines()
    assert first == " 100/1000 main loss 0.5 lr 0.0001 steps/s 2 left 0:07:30"
    assert "delta PSNR mean +0.2500 dB, worst -0.5000 dB (x), best so far" in second


def test_a_validation_by_another_metric_has_its_name_and_no_decibels(tmp_path):
    output = io.StringIO()
    record = {"gain_lpips_mean": 0.25, "gain_lpips_worst": 0.125, "worst_clip": "x"}
    with MetricsWriter(tmp_path, total_steps=10, output=output) as writer:
        writer.begin(0)
        writer.validation(5, "main", record, key="gain_lpips")
    assert "gain LPIPS mean +0.2500, worst +0.1250 (x)" in output.getvalue()
    assert records(tmp_path)[0]["gain_lpips_mean"] == 0.25


def test_steps_that_are_done_again_are_not_told_twice(tmp_path):
    for first in (0, 20):
        with MetricsWriter(tmp_path, total_steps=40) as writer:
            writer.begin(first)
            for step in (10, 20, 30):
                if step > first:
                    writer.train(step, "main", {"loss": float(step)})
        with (tmp_path / "metrics.jsonl").open("a") as file:
            file.write('{"step": 3')  # as a kill leaves it
    with MetricsWriter(tmp_path, total_steps=40) as writer:
        writer.begin(30)
    assert [r["step"] for r in records(tmp_path)] == [10, 20, 30]


def test_what_json_cannot_say_is_null(tmp_path):
    with MetricsWriter(tmp_path, total_steps=1) as writer:
        writer.begin(0)
        writer.train(1, "main", {"loss": float("nan")})
    assert records(tmp_path)[0]["loss"] is None


def test_a_silent_writer_leaves_nothing(tmp_path):
    output = io.StringIO()
    with MetricsWriter(tmp_path, total_steps=1, silent=True, output=output) as writer:
        writer.begin(0)
        writer.train(1, "main", {"loss": 1.0})
    assert output.getvalue() == "" and not list(tmp_path.iterdir())


def test_tensorboard_where_it_is_installed(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    with MetricsWriter(tmp_path, total_steps=1, tensorboard=True) as writer:
        writer.begin(0)
        writer.train(1, "main", {"loss": 1.0})
    assert any(p.stat().st_size > 0 for p in (tmp_path / "tensorboard").iterdir())
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match="pip install"):
        MetricsWriter(tmp_path, total_steps=1, tensorboard=True)


def test_the_meter_averages_and_leaves_out_what_was_skipped(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    meter = Meter()
    for second, loss, finite in ((10, 1.0, True), (11, 3.0, True), (12, float("nan"), False)):
        now[0] = second
        meter.add({"loss": loss, "skipped": float(not finite)}, finite=finite)
    # The first step, which compiled, is not timed: two steps in two seconds.
    assert meter.collect() == {"loss": 2.0, "skipped": 1.0, "steps_per_second": 1.0}
    meter.pause()
    now[0] = 112
    meter.go_on()
    now[0] = 114
    meter.add({"loss": 5.0}, finite=True)
    assert meter.collect() == {"loss": 5.0, "skipped": 1.0, "steps_per_second": 0.5}
