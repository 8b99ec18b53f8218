"""What computing in bfloat16 costs a trained model, in dB, on real pairs.

    python -m benchmarks.bf16_loss MODEL [--data-dir data] [--dataset clips] [--split val]
        [--config-name qp37] [--frames 10]

MODEL is a model file or a packaged name. Prints for every clip the PSNR-Y of the compressed frames
and of the same model in float32 and in bfloat16, float results against the truth, and the loss.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np

from vqe_jax import enhance, models
from vqe_jax.data import Pair, open_pairs
from vqe_jax.errors import UserError, run_cli
from vqe_jax.flags import Parser
from vqe_jax.metrics import psnr
from vqe_jax.weights import ModelFile, load_model


def mean_psnr(frames: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean(psnr(frames, truth)))


def luma(codes: np.ndarray) -> np.ndarray:
    return codes[..., None].astype(np.float32) / 255


def levels(pair: Pair, programs: list[ModelFile], count: int) -> tuple[float, ...]:
    """PSNR of the compressed frames and of either program's, and what the second loses, in dB."""
    clip, truth = (luma(pair.read(side, "luma", 0, count)) for side in ("compressed", "raw"))
    qp = pair.qp if pair.qp >= 0 else None
    full, half = (mean_psnr(enhance(clip, model=p, qp=qp), truth) for p in programs)
    return mean_psnr(clip, truth), full, half, full - half


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--dataset", default="clips")
    parser.add_argument("--split", default="val")
    parser.add_argument("--config-name", default="qp37")
    parser.add_argument("--frames", type=int, default=10, help="of each clip, from its start")
    args = parser.parse_args()
    file = load_model(args.model)
    if "dtype" not in models.fields(file.model) or file.color != "luma":
        raise UserError(
            f"{args.model} is a {file.color} model of {file.model!r}; expected one of "
            "luma whose network has the field dtype"
        )
    programs = [
        dataclasses.replace(file, kwargs=file.kwargs | {"dtype": dtype})
        for dtype in ("float32", "bfloat16")
    ]
    print("| clip | frames | compressed dB | float32 dB | bfloat16 dB | lost dB |")
    print("|---|---|---|---|---|---|")
    rows = []
    for pair in open_pairs(args.data_dir, args.dataset, args.split, args.config_name):
        count = min(args.frames, len(pair))
        rows.append(levels(pair, programs, count))
        cells = " | ".join(f"{x:.4f}" for x in rows[-1])
        print(f"| {pair.name} | {count} | {cells} |", flush=True)
    cells = " | ".join(f"{x:.4f}" for x in np.mean(rows, axis=0))
    print(f"| mean | | {cells} |")


if __name__ == "__main__":
    run_cli(main)
