import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training import synthetic
from tests.training.synthetic import Batches, config
from vqe_jax.errors import UserError
from vqe_jax.training import loop
from vqe_jax.training.stages import parse
from vqe_jax.weights import load_model

TWO_STAGES = (
    {
        "name": "guided",
        "steps": 5,
        "learning_rate": 1e-2,
        "corruption": {"name": "truth_guidance", "patch": 4, "ratio": 0.5},
    },
    {"name": "main", "steps": 7, "learning_rate": 1e-2, "start": "previous", "ema": 0.9},
)

ROOT = Path(__file__).parents[2]
WORKER = (sys.executable, "-m", "tests.training.worker")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def in_a_process(workdir: Path, fatal: int, number: int = signal.SIGKILL):
    command = [*WORKER, str(workdir), "--stages", f"{__name__}:TWO_STAGES"]
    command += ["--fatal", str(fatal), "--signal", str(int(number))]
    return subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=240
    )


def train(workdir: Path, *stages, **keys):
    output = io.StringIO()
    outcome = loop.run(config(*stages, **keys), workdir, output=output)
    return outcome, output.getvalue()


def tensors(path: Path) -> dict[str, np.ndarray]:
    flat = {}

    def walk(tree, prefix=""):
        for key, value in tree.items():
            walk(value, f"{prefix}{key}/") if isinstance(value, dict) else flat.update(
                {prefix + key: value}
            )

    walk(load_model(path).variables)
    return flat


def assert_same_run(a: Path, b: Path) -> None:
    """Every file that a run publishes is the same to the bit, and so is its log."""
    for name in ("best", "last", "stages/guided", "stages/main"):
        left, right = tensors(a / f"{name}.safetensors"), tensors(b / f"{name}.safetensors")
        assert left.keys() == right.keys()
        for key in left:
            np.testing.assert_array_equal(left[key], right[key], err_msg=f"{name} {key}")
    assert log(a, "train") == log(b, "train")
    assert log(a, "validation") == log(b, "validation")


def log(workdir: Path, kind: str) -> list[dict]:
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in r.items() if k != "steps_per_second"}
        for r in records
        if r["kind"] == kind
    ]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that nothing interrupted."""
    workdir = tmp_path_factory.mktemp("finished")
    synthetic.install()
    outcome, _ = train(workdir, *TWO_STAGES)
    assert outcome.finished and outcome.step == 12
    return workdir


@pytest.fixture
def unbroken(tiny, finished, tmp_path):
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / "unbroken")


@pytest.mark.parametrize("fatal", [3, 9])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(unbroken, tmp_path, fatal):
    killed = in_a_process(tmp_path / "killed", fatal)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    outcome, said = train(tmp_path / "killed", *TWO_STAGES)
    assert outcome.finished and ("resuming" in said or fatal == 3)
    assert_same_run(unbroken, tmp_path / "killed")


def test_a_signal_saves_the_step_and_stops(unbroken, tmp_path):
    stopped = in_a_process(tmp_path / "stopped", 7, signal.SIGTERM)
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr[-2000:]
    assert "stopped at step 7" in stopped.stdout
    outcome, said = train(tmp_path / "stopped", *TWO_STAGES)
    assert outcome.finished and "resuming" in said and "at step 7" in said
    assert_same_run(unbroken, tmp_path / "stopped")


def test_the_run_is_kept_in_full_beside_and_inside_what_it_makes(unbroken):
    kept = json.loads((unbroken / "config.json").read_text())
    assert parse(kept) == parse(config(*TWO_STAGES)) and kept["stages"][0]["ema"] == 0.0
    assert load_model(unbroken / "last.safetensors").extra["config"] == kept


def test_a_finished_run_has_nothing_left_to_do(unbroken):
    before = (unbroken / "metrics.jsonl").read_text()
    outcome, _ = train(unbroken, *TWO_STAGES)
    assert outcome.finished and outcome.step == 12
    assert (unbroken / "metrics.jsonl").read_text() == before


def test_a_damaged_checkpoint_costs_steps_and_no_more(finished, unbroken):
    manifest = unbroken / "checkpoints" / "12.manifest.json"
    manifest.write_text(manifest.read_text()[:100])
    outcome, said = train(unbroken, *TWO_STAGES)
    assert outcome.finished and "at step 10" in said
    assert_same_run(finished, unbroken)


def test_the_second_stage_begins_where_the_first_ended(unbroken):
    guided, main = (load_model(unbroken / f"stages/{n}.safetensors") for n in ("guided", "main"))
    assert guided.extra["step"] == 5 and main.extra["step"] == 12
    assert main.extra["config"]["stages"][1]["name"] == "main"
    assert main.model == "tiny" and main.color == "luma" and main.qp == (37,)
    assert [r["step"] for r in log(unbroken, "validation")] == [3, 5, 6, 9, 12]


def test_best_is_the_highest_score_of_the_last_stage(unbroken):
    scores = {r["step"]: r["score"] for r in log(unbroken, "validation") if r["stage"] == "main"}
    best = load_model(unbroken / "best.safetensors")
    assert best.extra["step"] == max(scores, key=scores.get)
    assert best.extra["validation"]["score"] == max(scores.values())


def test_the_best_model_may_be_chosen_by_another_metric(tiny, tmp_path):
    stage = {"name": "main", "steps": 4, "learning_rate": 1e-3}
    _, said = train(tmp_path, stage, eval={"every": 2, "protocol": "ssim_y"})
    records = log(tmp_path, "validation")
    assert len(records) == 2 and "gain SSIM mean" in said
    for r in records:
        gains = list(r["by_clip"].values())
        assert r["gain_ssim_mean"] == pytest.approx(np.mean(gains))
        assert abs(r["gain_ssim_mean"]) < 1 and "delta_psnr_mean" not in r
    best = load_model(tmp_path / "best.safetensors").extra["validation"]
    assert best["score"] == max(r["score"] for r in records)


def test_a_stage_can_go_on_with_the_optimiser(tiny, tmp_path):
    """Two stages with keep_optimizer are one stage that was not divided."""
    cosine = {"name": "cosine", "length": 8, "end": 1e-4}
    shared = {"learning_rate": 1e-2, "ema": 0.9, "schedule": cosine}
    train(tmp_path / "one", {"name": "a", "steps": 8, **shared})
    second = shared | {"schedule": cosine | {"offset": 4}}
    train(
        tmp_path / "two",
        {"name": "a", "steps": 4, **shared},
        {"name": "b", "steps": 4, "start": "previous", "keep_optimizer": True, **second},
    )
    one, two = (tensors(tmp_path / d / "last.safetensors") for d in ("one", "two"))
    for key in one:
        np.testing.assert_allclose(one[key], two[key], rtol=1e-5, atol=1e-7)


def test_bad_batches_are_skipped_and_named_and_end_the_run(tiny, tmp_path):
    Batches.poison.update({1, 4, 5, 6})
    with pytest.raises(UserError, match=r"3 steps in a row .* batch 6 \(clip0.* batch 4") as caught:
        train(tmp_path, {"name": "main", "steps": 9}, max_skipped=3)
    assert "\n" not in str(caught.value)
    records = log(tmp_path, "train")
    assert [r["skipped"] for r in records] == [0, 1, 1, 1, 2, 3]
    assert "loss" not in records[1] and all(np.isfinite(r["loss"]) for r in records[2:4])
    # What was saved on the way is whole: the run goes on once the data is mended.
    Batches.poison.clear()
    outcome, _ = train(tmp_path, {"name": "main", "steps": 9}, max_skipped=3)
    assert outcome.finished


def test_a_changed_config_is_said(tiny, tmp_path):
    train(tmp_path, {"name": "main", "steps": 2})
    _, said = train(tmp_path, {"name": "main", "steps": 4})
    assert "stages[0].steps (2 -> 4)" in said
    with pytest.raises(UserError, match="use another --workdir"):
        train(tmp_path, {"name": "main", "steps": 6}, model_kwargs={"features": 5})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": "vgi"}, "did you mean 'vig'"),
        ({"model_kwargs": {"feature": 3}}, "no field 'feature'.*'features'"),
        ({"data": {"frame": 3}}, r"config.data .*has no key 'frame'.*'frames'"),
        ({"dtype": "bfloat16"}, "computes in float32 only"),
        ({"model_kwargs": {"channels": 3}}, "channels=3, but data.color='luma'"),
        ({"eval": {"clips": ("wave",)}}, "no clip 'wave'.*'waves'"),
        ({"eval": {"protocol": "psnr"}}, "eval.protocol='psnr' does not exist.*'psnr_y'"),
        (
            {"devices": 2, "data": {"dataset": "waves", "frames": 2, "crop": 8, "batch": 3}},
            "batch of 3 does not divide",
        ),
    ],
)
def test_mistakes_are_one_line(tiny, tmp_path, keys, message):
    with pytest.raises(UserError, match=message) as caught:
        train(tmp_path, **keys)
    assert "\n" not in str(caught.value)


def test_a_run_compiles_few_programs(tmp_path):
    """One to draw, one to begin, one step, one of validation a size, its metric: no more."""
    done = in_a_process(tmp_path, fatal=-1)
    assert done.returncode == 0, done.stderr[-2000:]
    said = int(re.search(r"(\d+) programs compiled", done.stdout)[1])
    assert 1 <= said <= 12
