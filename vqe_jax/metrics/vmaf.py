"""VMAF, by the libvmaf in the ffmpeg binary that the package imageio-ffmpeg carries.

The model is ``vmaf_v0.6.1`` and a video's value the arithmetic mean over its frames, which is what
papers report where they say no more. VMAF looks at luma only; frames are piped to ffmpeg as they
come, result above reference in one picture, so nothing but ffmpeg's report touches the disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, Shaped

from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.perceptual import check_images

__all__ = ["VMAF", "ffmpeg_with_vmaf", "vmaf"]

# Frames may differ in shape, which is refused by name, so the annotation binds none.
_Frames = Iterable[jax.Array | np.ndarray]
_REPORT = "vmaf.json"


@dataclasses.dataclass(frozen=True)
class VMAF:
    """The VMAF of a video.

    Attributes:
      mean: over the frames, 0 to 100.
    """

    mean: float
    frames: Float[np.ndarray, " t"]


def ffmpeg_with_vmaf() -> str:
    """The path of imageio-ffmpeg's binary.

    Raises:
      EnvironmentFailure: the extra is not installed, or has no binary for this machine.
    """
    try:
        import imageio_ffmpeg
    except ImportError:
        raise EnvironmentFailure(
            "VMAF needs the package imageio-ffmpeg: pip install 'vqe-jax[vmaf]', "
            "or leave vmaf out of --metrics"
        ) from None
    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as err:
        raise EnvironmentFailure(f"VMAF: imageio-ffmpeg has no ffmpeg here ({err})") from None


def _luma(frame: Shaped[jax.Array | np.ndarray, "h w *c"], name: str, bits: int) -> np.ndarray:
    plane = np.asarray(frame)
    plane = plane[..., None] if plane.ndim == 2 else plane
    check_images(plane, f"{name}'s frame")
    if plane.shape[-1] != 1:
        raise UserError(
            f"VMAF takes luma, {name}'s frames have {plane.shape[-1]} channels; "
            "convert them with vqe_jax.ops.color"
        )
    top = 2**bits - 1
    return np.rint(plane[..., 0].clip(0, 1) * top).astype("<u2" if bits > 8 else "u1")


def _pictures(result: _Frames, reference: _Frames, bits: int) -> Iterator[np.ndarray]:
    """Planes Y, U, V of result above reference; full-size chroma allows any cut."""
    shape = None
    for x, y in itertools.zip_longest(result, reference):
        if x is None or y is None:
            raise UserError("VMAF: result and reference have different numbers of frames")
        planes = [_luma(f, n, bits) for f, n in ((x, "result"), (y, "reference"))]
        shape = shape or planes[0].shape
        if any(p.shape != shape for p in planes):
            raise UserError(f"VMAF: frames of {planes[0].shape} and {planes[1].shape} in one video")
        stacked = np.concatenate(planes)
        gray = np.full_like(stacked, 1 << (bits - 1))
        yield np.stack([stacked, gray, gray])


def _command(height: int, width: int, bits: int, model: str, threads: int) -> list[str]:
    pixel_format = "yuv444p" if bits == 8 else f"yuv444p{bits}le"
    cut = f"crop={width}:{height}:0"
    graph = (
        f"[0:v]split[a][b];[a]{cut}:0[result];[b]{cut}:{height}[reference];"
        f"[result][reference]libvmaf=model=version={model}:n_threads={threads}"
        f":log_fmt=json:log_path={_REPORT}"
    )
    # Levels are code values; a range must not be guessed and converted on the way.
    source = ["-f", "rawvideo", "-pix_fmt", pixel_format, "-color_range", "tv"]
    size = ["-s", f"{width}x{2 * height}", "-r", "25", "-i", "pipe:0"]
    return ["-v", "error", "-nostdin", *source, *size, "-lavfi", graph, "-f", "null", "-"]


def vmaf(
    result: _Frames,
    reference: _Frames,
    *,
    bits: int = 8,
    model: str = "vmaf_v0.6.1",
    threads: int = 4,
) -> VMAF:
    """VMAF of a video; larger is better.

    Args:
      result: luma frames ``[h, w]`` or ``[h, w, 1]`` in [0, 1] (code value by its largest), any
        iterable; read once.
      bits: of the code values they are rounded to: 8, 10 or 12.
      model: one that is built into libvmaf (``vmaf_v0.6.1``, ``vmaf_v0.6.1neg``,
        ``vmaf_4k_v0.6.1``).

    Raises:
      UserError: the extra ``vmaf`` is missing, or frames that are no luma in [0, 1], of several
        sizes or of different numbers.
      EnvironmentFailure: ffmpeg fails; says why.
    """
    ffmpeg = ffmpeg_with_vmaf()
    if bits not in (8, 10, 12):
        raise UserError(f"VMAF: bits is {bits}, expected 8, 10 or 12")
    pictures = _pictures(result, reference, bits)
    first = next(pictures, None)
    if first is None:
        raise UserError("VMAF: there are no frames")
    command = [ffmpeg, *_command(first.shape[1] // 2, first.shape[2], bits, model, threads)]
    with tempfile.TemporaryDirectory(prefix="vqe_vmaf_") as folder:
        _run(command, itertools.chain([first], pictures), folder)
        report = json.loads(Path(folder, _REPORT).read_text())
    frames = np.array([f["metrics"]["vmaf"] for f in report["frames"]])
    return VMAF(float(report["pooled_metrics"]["vmaf"]["mean"]), frames)


def _run(command: list[str], pictures: Iterable[np.ndarray], folder: str) -> None:
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        )
        # Where ffmpeg has stopped reading, its exit code and message are looked at below.
        with contextlib.suppress(BrokenPipeError), process:
            _feed(process, pictures)
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    if process.returncode or not Path(folder, _REPORT).is_file():
        reason = lines[0] if lines else f"exit code {process.returncode}"
        raise EnvironmentFailure(f"VMAF: ffmpeg failed ({reason})")


def _feed(process: subprocess.Popen[bytes], pictures: Iterable[np.ndarray]) -> None:
    assert process.stdin is not None
    try:
        for picture in pictures:
            process.stdin.write(picture.tobytes())
            process.stdin.flush()  # what is left would break the pipe again when it is closed
    except BrokenPipeError:
        raise
    except BaseException:
        process.kill()
        raise
