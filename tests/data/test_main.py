"""The command line."""

import subprocess
import sys
from pathlib import Path

import pytest

from vqe_jax.data import __main__ as command
from vqe_jax.data import open_pairs
from vqe_jax.errors import UserError


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["vqe_jax.data", *arguments])
    command.main()


def test_a_folder_becomes_a_data_set(
    videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--source", str(videos), "--data_dir", str(tmp_path), "--frames", "3"]
    _run(monkeypatch, "clips", *options, "--qp", "32", "37", "--workers", "1", "--include", "t*")
    shown = capsys.readouterr().out
    assert "qp32" in shown and "PSNR-Y" in shown and "dataset='clips'" in shown
    for config_name in ("qp32", "qp37"):
        assert len(open_pairs(tmp_path, "clips", "val", config_name)) == 1
    better, worse = (
        open_pairs(tmp_path, "clips", "train", c)[0].info.psnr_y for c in ("qp32", "qp37")
    )
    assert better > worse


def test_the_demo_is_built_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = ["--clips", "1", "--val_clips", "1", "--length", "3", "--width", "96", "--height", "64"]
    _run(monkeypatch, "demo", "--data_dir", str(tmp_path), *size, "--workers", "1", "--quiet")
    (pair,) = open_pairs(tmp_path, "demo", "val", "qp37")
    assert pair.source.startswith("skimage.data: stereo_motorcycle")
    assert pair.fps == 25


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "vqe_jax.data", "clips", "--source", str(tmp_path / "nowhere")],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    ["--frames 0", "--max-frames -1", "--max-step 0", "--encodings 0", "--kbps -5", "--workers 0",
     "--min-scale 0", "--min-scale nan", "--min-crop 1.5", "--augment -2", "--min-side 0",
     "--frame-rate abc", "--frame-rate 0/0", "--frame-rate 0", "--frame-rate -5"],
)  # fmt: skip
def test_numbers_that_no_build_can_have(tmp_path: Path, monkeypatch, wrong: str) -> None:
    with pytest.raises(UserError, match=f"^{wrong}.*; expected (at least|a share|frames)"):
        _run(monkeypatch, "clips", "--source", "x", "--data-dir", str(tmp_path), *wrong.split())
    assert not list(tmp_path.iterdir())
