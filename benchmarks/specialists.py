"""Where a packaged specialist is better than the default model, by codec and QP of the source.

    python -m benchmarks.specialists stdf_qp37 --data-dir data --config-names mixed qp37 hm

Prints a row for each H.264 or H.265 stream of the validation split that tells its QP: the mean QP
of its P frames, and the gain in PSNR-Y of the default and of the specialist over the same frames,
as ``enhance.py IN OUT --codec ffv1`` writes them. ``vqe_jax/weights/specialists.py`` holds what
follows from it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.card import encoder_of, stream_row
from vqe_jax.data import Pair, open_pairs
from vqe_jax.errors import run_cli
from vqe_jax.flags import Parser
from vqe_jax.inference.source_qp import measured_qp
from vqe_jax.weights import DEFAULT_MODEL, packaged_models


def mean_qp(pair: Pair) -> float | None:
    """Of the P frames of a pair's stream; None where it does not tell, or is without loss."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"stream.{pair.info.compressed_format}")
        path.write_bytes(pair.encoded("compressed"))
        return measured_qp(path) or None


def streams(pairs: Iterator[Pair], lowest: float) -> Iterator[tuple[Pair, float]]:
    """Those that tell a QP of at least so much."""
    for pair in pairs:
        mean = mean_qp(pair)
        if mean is not None and mean >= lowest:
            yield pair, mean


def main() -> None:
    """Prints a row a stream."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=packaged_models())
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--config-names", nargs="+", default=["mixed"], help="of `clips`")
    parser.add_argument("--frames", type=int, default=12, help="of each stream, from its start")
    parser.add_argument("--lowest", type=float, default=36.0, help="mean QP from which on")
    args = parser.parse_args()
    print(
        f"| stream | mean QP | `{DEFAULT_MODEL}` | `{args.model}` | more |\n|---|---|---|---|---|"
    )
    for name in args.config_names:
        pairs = iter(open_pairs(args.data_dir, "clips", "val", name))
        for pair, mean in streams(pairs, args.lowest):
            both = [
                stream_row(pair, model, args.frames)["gain"]
                for model in (DEFAULT_MODEL, args.model)
            ]
            told = f"{pair.name.split('@')[0]}, {encoder_of(pair)} {pair.info.quality}".rstrip(" ")
            gains = " | ".join(f"{gain:+.3f}" for gain in (*both, both[1] - both[0]))
            print(f"| {told} | {mean:.1f} | {gains} |", flush=True)


if __name__ == "__main__":
    run_cli(main)
