"""``enhance.py``: what it prints, what it refuses, and its exit codes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from tests.video.clips import drifting, info_of, lossless, noise, with_sound, write
from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.inference.cli import main
from vqe_jax.models.shapes import initial_variables
from vqe_jax.video import encode_hevc, low_delay_p, open_reader, read_frames
from vqe_jax.weights import ModelFile, save_model

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    kwargs = {"width": 4, "down_widths": (4, 4, 4)}
    variables = initial_variables(models.build("vig", **kwargs), jax.random.key(0))
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_model(path, ModelFile("vig", kwargs, jax.tree.map(np.asarray, variables), qp=(37,)))
    return str(path)


@pytest.fixture
def clip(tmp_path) -> Path:
    info = info_of()
    encode_hevc(drifting(info, 5), tmp_path / "in.hevc", info, low_delay_p(37))
    return tmp_path / "in.hevc"


def test_a_file_is_enhanced(clip, weights, capsys):
    target = clip.with_name("out.mkv")
    assert main([str(clip), str(target), "--model", weights]) == 0
    said = capsys.readouterr()
    assert "64x48 yuv420p, hevc, 25 fps, 5 frames, QP 43" in said.out
    assert "VIG on luma" in said.out and "libx265 preset=medium crf=12" in said.out
    assert "5 frames in" in said.out
    assert "warning" not in said.err and "Traceback" not in said.err
    assert len(read_frames(target)) == 5


@pytest.mark.parametrize("how", [[], ["--tile", "80"]], ids=["rows", "tiles"])
def test_several_devices_write_what_one_does(tmp_path, weights, how):
    info = info_of(width=128, height=96)
    source = write(tmp_path / "in_128x96_3.yuv", info, drifting(info, 3))
    written = []
    for count in ("1", "4"):
        target = tmp_path / f"by{count}.y4m"
        given = [str(source), str(target), "--model", weights, "--qp", "37", "--devices", count]
        assert main([*given, *how]) == 0
        written.append(np.int64([frame.planes[0] for frame in read_frames(target)]))
    assert np.abs(written[0] - written[1]).max() <= 1 and len(written[1]) == 3


def test_copies_are_counted_in_a_sentence(tmp_path, weights, capsys):
    info = info_of()
    first, second = drifting(info, 2)
    source = write(tmp_path / "in_64x48_3.yuv", info, [first, first, second])
    given = [str(source), str(tmp_path / "out.y4m"), "--model", weights, "--skip-duplicates"]
    assert main(given) == 0
    assert "1 of them are exact copies of the frame before" in capsys.readouterr().out


def test_a_plan_writes_nothing(clip, weights, capsys):
    assert main([str(clip), str(clip.with_name("out.mkv")), "--model", weights, "--plan"]) == 0
    said = capsys.readouterr().out
    assert "out.mkv" in said and "fps without the encoder, about 0:00:0" in said
    assert [p.name for p in clip.parent.iterdir()] == ["in.hevc"]


def test_quiet_is_quiet_but_warns(tmp_path, weights, capsys):
    info = info_of()
    source = tmp_path / "in.hevc"
    encode_hevc(drifting(info, 4), source, info, low_delay_p(22))
    assert main([str(source), str(tmp_path / "out.mkv"), "--model", weights, "--quiet"]) == 0
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(
        "warning: this file is better than what the model"
    )
    assert said.err.count("\n") == 1


def test_options_reach_the_encoder(clip, weights):
    target = clip.with_name("out.mkv")
    options = ["--codec", "libx264", "--encoder-options", "crf=30", "preset=ultrafast"]
    main([str(clip), str(target), "--model", weights, "--quiet", *options])
    assert open_reader(target).info.codec == "h264"
    main([str(clip), str(target), "--model", weights, "--quiet", "--codec", "ffv1"])
    assert open_reader(target).info.codec == "ffv1"


def test_preview_split_tiles_and_raw_files(tmp_path, weights):
    info = info_of(10, "420")
    source = write(tmp_path / "a.yuv", info, drifting(info, 30))
    target = tmp_path / "b.y4m"
    given = ["--size", "64x48", "--pixel-format", "yuv420p10le", "--model", weights, "--quiet"]
    given += ["--preview", "0.2s", "--split", "--tile", "64", "--no-scene-cuts", "--qp", "37"]
    main([str(source), str(target), *given])
    found = read_frames(target)
    assert len(found) == 5 and found[0].pixel_format == info.pixel_format
    assert np.array_equal(found[4].planes[0][:, :32], drifting(info, 5)[4].planes[0][:, :32])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--modle", "x"], "did you mean '--model'"),
        (["--qp", "52"], "out of range"),
        (["--model", "vig_qp99"], "'vig_qp99' is neither a file nor a packaged model"),
        (["--preview", "soon"], "'soon' is not understood"),
        (["--size", "64"], "expected WxH"),
        (["--encoder-options", "crf"], "expected name=value"),
        (["--encoder-options", "crff=3"], "did you mean 'crf'"),
        (["--codec", "x266"], "'x266' is not in this FFmpeg"),
        (["--pixel-format", "nv12"], "'nv12' is not supported"),
        (["--tile", "many"], "expected a side in pixels"),
        (["--tile-centers", "5"], "needs a number from 0 and the tiles' size"),
        (["--tile", "512", "--tile-centers", "5"], "tiles of 512 pixels do not fit into frames"),
    ],
)
def test_mistakes_in_one_line(clip, weights, options, message):
    given = [] if "--model" in options else ["--model", weights]
    with pytest.raises(UserError, match=message) as found:
        main([str(clip), str(clip.with_name("out.mkv")), "--quiet", *given, *options])
    assert "\n" not in str(found.value)
    assert [p.name for p in clip.parent.iterdir()] == ["in.hevc"]


def test_damaged_model_files(clip, weights, tmp_path):
    whole = Path(weights).read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    for name, data in {"short": whole[:-50], "flipped": bytes(flipped)}.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(data)
        with pytest.raises(UserError, match=name):
            main([str(clip), str(tmp_path / "out.mkv"), "--model", str(path)])
    assert not (tmp_path / "out.mkv").exists()


def command(*arguments: object) -> subprocess.Popen:
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "enhance.py"), *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_exit_codes_and_an_interrupt(tmp_path, weights):
    """2 for the user's mistake; 130 for Ctrl-C, which leaves nothing half-written behind."""
    missing = command(tmp_path / "no.mp4", tmp_path / "out.mp4", "--model", weights)
    _, said = missing.communicate(timeout=240)
    assert missing.returncode == 2
    assert said == f"error: {tmp_path}/no.mp4: no such file; expected a video\n"
    info = info_of(8, "420", 256, 192)
    source = lossless(tmp_path / "in.mkv", info, noise(info, 1) * 900)
    running = command(source, tmp_path / "out.mkv", "--model", weights, "--codec", "ffv1")
    part = tmp_path / "out.mkv.part"
    for _ in range(4800):
        if part.exists() and part.stat().st_size > 0:
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=240)
    if running.returncode == 0:
        pytest.skip("it was done before it could be interrupted")
    assert running.returncode == 130, said
    assert said.rstrip().endswith("interrupted") and "Traceback" not in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mkv"]


def test_sound_comes_along(tmp_path, weights):
    source = with_sound(tmp_path / "a.mp4", subtitles=False)
    main([str(source), str(tmp_path / "b.mp4"), "--model", weights, "--quiet"])
    assert open_reader(tmp_path / "b.mp4").info.rotation == 90
