import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.metrics import vmaf
from vqe_jax.metrics.vmaf import _run

RNG = np.random.default_rng(0)


def clip(frames=3, height=64, width=80):
    rows, columns, time = np.ogrid[:height, :width, :frames]
    waves = 0.5 + 0.3 * np.sin(rows / 5 + time / 2) * np.cos(columns / 7 - time / 3)
    return list(np.moveaxis(waves, 2, 0).astype(np.float32))


def noisy(frames, sigma):
    return [(f + sigma * RNG.standard_normal(f.shape)).clip(0, 1) for f in frames]


def ffmpeg():
    return pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()


def by_files(folder, result, reference):
    """Libvmaf on two files of YUV 4:2:0, the way its manual has it."""
    height, width = result[0].shape
    for name, frames in (("result", result), ("reference", reference)):
        with open(folder / f"{name}.yuv", "wb") as file:
            for frame in frames:
                file.write(np.rint(frame * 255).astype(np.uint8).tobytes())
                file.write(np.full(height * width // 2, 128, np.uint8).tobytes())
    source = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{height}", "-i"]
    graph = "libvmaf=model=version=vmaf_v0.6.1:log_fmt=json:log_path=out.json"
    command = [ffmpeg(), "-v", "error", *source, "result.yuv", *source, "reference.yuv"]
    subprocess.run([*command, "-lavfi", graph, "-f", "null", "-"], cwd=folder, check=True)
    return json.loads((folder / "out.json").read_text())["pooled_metrics"]["vmaf"]["mean"]


def test_piped_frames_get_the_value_of_files(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    reference = clip()
    result = noisy(reference, 0.04)
    found = vmaf(iter(result), iter(reference))
    np.testing.assert_allclose(found.mean, by_files(tmp_path, result, reference), atol=1e-4)
    assert len(found.frames) == 3
    np.testing.assert_allclose(found.frames.mean(), found.mean, atol=1e-4)


def test_odd_sizes_ten_bits_and_order_of_the_inputs():
    ffmpeg()
    reference = [f[:63, :77, None] for f in clip()]
    little, much = (vmaf(noisy(reference, s), reference, bits=10).mean for s in (0.01, 0.08))
    assert 100 >= little > much + 10


@pytest.mark.parametrize(
    ("result", "reference", "message"),
    [
        (clip(2), clip(3), "different numbers of frames"),
        (clip(2), clip(2, 64, 78), r"frames of \(64, 80\) and \(64, 78\)"),
        ([np.zeros((64, 80, 3), np.float32)], clip(1), "takes luma, result's frames have 3"),
        ([f * 255 for f in clip(1)], clip(1), "result's frame has values"),
        ([], [], "no frames"),
    ],
)
def test_bad_frames(result, reference, message):
    ffmpeg()
    with pytest.raises(UserError, match=message):
        vmaf(result, reference)


def test_what_ffmpeg_says_is_passed_on():
    ffmpeg()
    with pytest.raises(EnvironmentFailure, match=r"VMAF: ffmpeg failed .*nonsense"):
        vmaf(clip(1), clip(1), model="nonsense")


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(UserError, match=r"pip install 'vqe-jax\[vmaf\]'"):
        vmaf(clip(1), clip(1))


def test_small_frames_that_ffmpeg_does_not_read_are_its_failure(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    small = itertools.repeat(np.zeros(100, np.uint8), 2_000)  # more than a pipe holds
    with pytest.raises(EnvironmentFailure, match=r"ffmpeg failed \(no such model\)"):
        _run(command, small, str(tmp_path))


def test_bad_frames_midway_are_named_and_end_ffmpeg(tmp_path):
    def broken():
        yield np.zeros(100, np.uint8)
        raise UserError("another size")

    command = [sys.executable, "-c", "import sys; sys.stdin.buffer.read()"]
    with pytest.raises(UserError, match="another size"):
        _run(command, broken(), str(tmp_path))
