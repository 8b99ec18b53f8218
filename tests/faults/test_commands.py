"""What a command does when it is asked to end, and what it says when it is to be quiet."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.faults.media import make
from vqe_jax import models
from vqe_jax.data import __main__ as data
from vqe_jax.errors import UserError
from vqe_jax.evaluation import cli as evaluation
from vqe_jax.inference import cli as inference
from vqe_jax.models.shapes import initial_variables
from vqe_jax.weights import ModelFile, save_model

ROOT = Path(__file__).resolve().parents[2]
# Says that it is ready, waits, and tidies up, slowly.
WORK = """
import signal, time
for number in {ignored}:
    signal.signal(number, signal.SIG_IGN)
from vqe_jax.errors import run_cli
def main():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("closing", flush=True)
        time.sleep({closing})
        print("closed", flush=True)
run_cli(main)
"""


def ended(signals, closing=0.0, ignored=()):
    """Exit code and output of a command that gets each of the signals once it has begun anew."""
    work = WORK.format(closing=closing, ignored=[int(number) for number in ignored])
    with subprocess.Popen(
        [sys.executable, "-c", work],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        said = process.stdout.readline()
        for number in signals:
            process.send_signal(number)
            if number not in ignored:
                said += process.stdout.readline()
        said += process.stdout.read()
    return process.returncode, said.split()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_ends_a_command_through_its_cleaning_up(number, code):
    assert ended([number]) == (code, ["ready", "closing", "closed"])


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(second):
    code, said = ended([signal.SIGHUP, second], closing=60)
    assert code == -second and said == ["ready", "closing"]


def test_what_the_shell_ignores_stays_ignored():
    """nohup: the command outlives its terminal."""
    assert ended([signal.SIGHUP, signal.SIGTERM], ignored=[signal.SIGHUP])[0] == 143


def a_model() -> None:
    kwargs = {"width": 4, "down_widths": (4, 4, 4)}
    variables = initial_variables(models.build("vig", **kwargs), jax.random.key(0))
    save_model("w.safetensors", ModelFile("vig", kwargs, jax.tree.map(np.asarray, variables)))


def test_quiet_is_quiet(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    raw = make(Path("clips/a.mkv"), codec="ffv1", frames=4)
    coded = make(Path("a.mkv"), frames=4)
    a_model()
    build = (
        "x clips --source clips --data-dir data --workers 1 --min-side 32 --min-frames 3 --quiet"
    )
    monkeypatch.setattr(sys, "argv", build.split())
    capfd.readouterr()
    data.main()
    files = ["--raw", str(raw), "--compressed", str(coded), "--metrics", "psnr"]
    evaluation.main(["w.safetensors", *files, "--out", "report", "--quiet"])
    inference.main([str(coded), "b.mkv", "--model", "w.safetensors", "--force", "--quiet"])
    inference.main(
        [str(coded), "c.mkv", "--model", "w.safetensors", "--force", "--quiet", "--plan"]
    )
    assert capfd.readouterr() == ("", "")
    assert Path("b.mkv").exists() and Path("report/report.md").exists()


WITHOUT_EFFECT = [
    (
        evaluation,
        "w.safetensors --raw a.mkv --compressed b.mkv --dataset clips",
        "--dataset is of use with a",
    ),
    (
        evaluation,
        "w.safetensors --raw a.mkv --compressed b.mkv --clips a",
        "--clips is of use with a data set",
    ),
    (
        evaluation,
        "w.safetensors --raw a.mkv --compressed b.mkv --size 64x48",
        "--size is for .yuv files",
    ),
    (
        evaluation,
        "w.safetensors --raw a.mkv --compressed b.mkv --overlap 3",
        "with --long-range fast only",
    ),
    (evaluation, "w.safetensors --dataset clips --qp 37", "--qp is of use with --raw"),
    (inference, "a.mkv b.mkv --size 64x48", "are for raw .yuv files"),
    (inference, "a.mkv b.mkv --pixel-format yuv420p", "are for raw .yuv files"),
    (inference, "a.mkv b.mkv --codec aac --model w.safetensors", "encoder 'aac' is for audio"),
]


@pytest.mark.parametrize(("command", "words", "message"), WITHOUT_EFFECT)
def test_options_without_effect_are_mistakes(tmp_path, monkeypatch, command, words, message):
    monkeypatch.chdir(tmp_path)
    make(Path("a.mkv"), frames=2)
    a_model()
    with pytest.raises(UserError, match=message):
        command.main(words.split())
