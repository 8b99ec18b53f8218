"""Bidirectional networks on long video: what is lost at the borders of pieces.

    python benchmarks/bidirectional.py MODEL VIDEO [--raw VIDEO] [--frames 100] [--chunk 30] \
        [--overlaps 0 2 5 10 15] [--plot docs/bidirectional.png]

``exact`` is the whole clip. Against it: pieces put one behind the other, as the PyTorch tools cut
long videos (overlap 0), and pieces that overlap and are blended (``long_range="fast"``). Printed is
the difference to exact in 8-bit code values (root mean square, mean over frames and worst frame)
and, given the raw video, PSNR in RGB. The plot shows the difference frame by frame.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vqe_jax.inference import enhance_frames
from vqe_jax.inference.resolve import resolve
from vqe_jax.metrics import psnr, quantize
from vqe_jax.video import open_reader, to_rgb


def frames_of(path: str, count: int) -> Iterator[np.ndarray]:
    """The first frames of a video in RGB."""
    with open_reader(path) as reader:
        for frame in itertools.islice(reader, count):
            yield to_rgb(frame, reader.info)


def rms(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean square difference of each frame, in code values of 8 bits."""
    return 255 * np.sqrt(np.mean(np.square(a - b, dtype=np.float64), axis=(1, 2, 3)))


def plot(path: Path, curves: dict[str, np.ndarray], chunk: int) -> None:
    """Difference to exact over the frames."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    for label, values in curves.items():
        axes.semilogy(np.maximum(values, 1e-3), label=label, linewidth=1)
    axes.set(
        xlabel="frame",
        ylabel="RMS difference to exact (8-bit code values)",
        title=f"pieces of {chunk} frames against the whole clip",
    )
    axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("video")
    parser.add_argument("--raw")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--chunk", type=int, default=30)
    parser.add_argument("--overlaps", type=int, nargs="+", default=[0, 2, 5, 10, 15])
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    ready = resolve(args.model)
    source = list(frames_of(args.video, args.frames))
    raw = np.stack(list(frames_of(args.raw, len(source)))) if args.raw else None

    def run(**options: Any) -> tuple[np.ndarray, float]:
        start = time.perf_counter()
        result = np.stack(list(enhance_frames(ready, iter(source), **options)))
        return result, (time.perf_counter() - start) / len(source)

    exact, seconds = run(long_range="exact")
    rows = [("exact", exact, np.zeros(len(exact)), seconds)]
    for overlap in args.overlaps:
        chunk = max(args.chunk, 2 * overlap)
        result, seconds = run(long_range="fast", chunk=chunk, overlap=overlap)
        label = f"overlap {overlap}" + (f", chunk {chunk}" if chunk != args.chunk else "")
        rows.append((label, result, rms(result, exact), seconds))
    print(f"{Path(args.video).name}, {len(source)} frames, pieces of {args.chunk}")
    print("| | RMS difference, mean | worst frame | PSNR | s a frame |\n|---|---|---|---|---|")
    for label, result, error, seconds in rows:
        level = "" if raw is None else f"{np.mean(psnr(quantize(result), raw)):.3f}"
        print(f"| {label} | {error.mean():.4f} | {error.max():.4f} | {level} | {seconds:.2f} |")
    if args.plot:
        plot(args.plot, {label: error for label, _, error, _ in rows[1:]}, args.chunk)
        print(f"plot: {args.plot}")


if __name__ == "__main__":
    main()
