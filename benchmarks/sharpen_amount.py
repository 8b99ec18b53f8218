"""How strong ASTF's sharpening is: PSNR lost by unsharp masking, for several amounts.

    python benchmarks/sharpen_amount.py RAW COMPRESSED [RAW COMPRESSED ...] [--frames 5]

The paper gives no amount, but what its sharpening costs: 31.81 dB to 26.83 dB. Printed is the mean
PSNR in RGB of some frames spread over each compressed clip, sharpened.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np

from vqe_jax.metrics import psnr, quantize
from vqe_jax.ops.filters import unsharp
from vqe_jax.video import open_reader, to_rgb

AMOUNTS = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


def some_frames(path: str, count: int) -> np.ndarray:
    """Every tenth frame in RGB."""
    with open_reader(path) as reader:
        chosen = itertools.islice(reader, 0, 10 * count, 10)
        return np.stack([to_rgb(frame, reader.info) for frame in chosen])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", help="raw and compressed videos in turn")
    parser.add_argument("--frames", type=int, default=5)
    args = parser.parse_args()
    pairs = [
        (some_frames(raw, args.frames), some_frames(compressed, args.frames))
        for raw, compressed in zip(args.files[::2], args.files[1::2], strict=True)
    ]
    print("| amount | PSNR | lost |\n|---|---|---|")
    before = None
    for amount in AMOUNTS:
        level = float(np.mean([psnr(quantize(unsharp(c, amount)), raw) for raw, c in pairs]))
        before = level if before is None else before
        print(f"| {amount:g} | {level:.2f} | {before - level:.2f} |", flush=True)


if __name__ == "__main__":
    main()
