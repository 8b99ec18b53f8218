"""What a model does to video that needs no enhancement: the raw clips themselves.

    python benchmarks/clean_input.py FOLDER [--model vig_qp37]

Prints PSNR-Y of the result against its own input: the higher, the more was left alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from vqe_jax.errors import UserError, run_cli


def change(path: Path, model: str, limit: int | None) -> tuple[int, float, float]:
    """Frames, mean and lowest PSNR-Y of a model's result against its input."""
    from vqe_jax.inference import enhance_frames
    from vqe_jax.inference.resolve import resolve
    from vqe_jax.metrics import psnr
    from vqe_jax.video import luma, open_reader

    with open_reader(path) as reader:
        frames = [luma(frame, reader.info)[..., None] for frame in reader][:limit]
    results = enhance_frames(resolve(model), frames)
    levels = [float(psnr(out, frame)) for out, frame in zip(results, frames, strict=True)]
    return len(frames), float(np.mean(levels)), min(levels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="vig_qp37")
    parser.add_argument("--frames", type=int, help="at most so many of each clip")
    given = parser.parse_args()
    found = sorted(p for p in given.folder.glob("*") if p.is_file())
    if not found:
        raise UserError(f"{given.folder} has no files; name a folder of raw clips")
    print(f"{'clip':32} {'frames':>6} {'mean dB':>8} {'lowest':>8}")
    for path in found:
        count, mean, lowest = change(path, given.model, given.frames)
        print(f"{path.stem:32} {count:6} {mean:8.2f} {lowest:8.2f}", flush=True)


if __name__ == "__main__":
    run_cli(main)
