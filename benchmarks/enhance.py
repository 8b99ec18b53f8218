"""Enhancing files: frames per second and peak host memory, and that memory does not grow.

    python benchmarks/enhance.py [--model vig_qp37] [--sizes 416x240 832x480 1920x1080]

Every case runs in a process of its own, a few times, and the medians are printed. "engine" is the
network alone on frames in memory; "file" decodes, enhances and encodes (x264 ultrafast, so that
the encoder is not what is measured); "share" is the file's part of the engine's. The last row is
the first size with ten times the frames: its peak must be near that of the first row; the column
before says what the peak was after a tenth of the file.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

FRAMES = {416: 60, 832: 20, 1920: 8}
ENCODER = {"preset": "ultrafast", "crf": "20"}


def pictures(width: int, height: int, count: int):
    """Frames of a texture that moves, 8-bit 4:2:0."""
    from vqe_jax.video import Frame

    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 215, (height // 8 + 16, width // 8 + 16), np.uint8)
    texture = np.kron(coarse, np.ones((8, 8), np.uint8))
    chroma = np.full((height // 2, width // 2), 128, np.uint8)
    for i in range(count):
        dy, dx = i % 64, (2 * i) % 64
        luma = np.ascontiguousarray(texture[dy : dy + height, dx : dx + width])
        yield Frame((luma, chroma, chroma), pts=i, time_base=Fraction(1, 25))


def write_source(path: Path, width: int, height: int, count: int) -> None:
    from vqe_jax.video import VideoInfo, open_writer

    rate = Fraction(25)
    info = VideoInfo(width, height, frame_rate=rate, time_base=1 / rate, codec="h264")
    with open_writer(path, info, codec="libx264", options=ENCODER) as writer:
        for frame in pictures(width, height, count):
            writer.write(frame)


def engine_seconds(model: str, width: int, height: int, count: int) -> float:
    """Time a frame of the network alone; several frames may come out at once, so all are timed."""
    from vqe_jax.inference import enhance_frames
    from vqe_jax.inference.resolve import resolve

    ready = resolve(model)
    luma = [f.planes[0][..., None] / np.float32(255) for f in pictures(width, height, count)]
    frames = [np.repeat(x, ready.network.channels, axis=-1) for x in luma]
    for _ in range(2):  # the first run compiles
        start = time.perf_counter()
        done = sum(1 for _ in enhance_frames(ready, frames))
    return (time.perf_counter() - start) / done


def run_case(model: str, width: int, height: int, count: int, engine: bool) -> dict[str, float]:
    from vqe_jax import enhance_video
    from vqe_jax.inference.resolve import resolve

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "source.mkv"), Path(folder, "target.mkv")
        write_source(source, width, height, count)
        stamps: list[float] = []
        peaks: list[float] = []

        def note(*_: object) -> None:
            stamps.append(time.perf_counter())
            peaks.append(peak_mib())

        begin = time.perf_counter()
        enhance_video(
            source,
            target,
            model=model,
            codec="libx264",
            encoder_options=ENCODER,
            progress=note,
        )
    if resolve(model).network.context.recurrence == "both":  # nothing comes out before all is read
        steady = len(stamps) / (stamps[-1] - begin)
    else:
        steady = (len(stamps) - 2) / (stamps[-1] - stamps[1])
    alone = 1 / engine_seconds(model, width, height, min(count, 12)) if engine else float("nan")
    early = peaks[len(peaks) // 10]
    return {"file_fps": steady, "early": early, "peak": peaks[-1], "engine_fps": alone}


def peak_mib() -> float:
    """The most memory this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def medians(
    model: str, width: int, height: int, count: int, engine: bool, repeats: int
) -> dict[str, float]:
    words = [
        sys.executable,
        "-W",
        "ignore",
        __file__,
        "--model",
        model,
        "--case",
        f"{width}x{height}x{count}",
    ]
    words += ["--engine"] if engine else []
    runs = []
    for _ in range(repeats):
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
        runs.append(json.loads(done.stdout.splitlines()[-1]))
    return {key: statistics.median(r[key] for r in runs) for key in runs[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="vig_qp37")
    parser.add_argument("--sizes", nargs="+", default=["416x240", "832x480", "1920x1080"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--engine", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        width, height, count = map(int, given.case.split("x"))
        print(json.dumps(run_case(given.model, width, height, count, given.engine)))
        return
    sizes = [tuple(map(int, size.split("x"))) for size in given.sizes]
    cases = [(w, h, FRAMES.get(w, 16), True) for w, h in sizes]
    cases.append((*sizes[0], 10 * cases[0][2], False))
    print(f"model {given.model}, medians of {given.repeats}")
    print("| size | frames | engine fps | file fps | share | peak MiB after a tenth | peak MiB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for width, height, count, engine in cases:
        m = medians(given.model, width, height, count, engine, given.repeats)
        engine_fps = f"{m['engine_fps']:.2f}" if engine else ""
        share = f"{m['file_fps'] / m['engine_fps']:.2f}" if engine else ""
        print(
            f"| {width}x{height} | {count} | {engine_fps} | {m['file_fps']:.2f} | {share} "
            f"| {m['early']:.0f} | {m['peak']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
