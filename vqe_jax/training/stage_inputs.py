"""``python -m vqe_jax.training.stage_inputs MODEL ... --to FOLDER``: a stage's results, on disk.

Runs trained networks over the clips of a data set and keeps what they make of them, for a second
stage that is trained with ``data.inputs_dir``. Several models are averaged. What is there already
is kept, so that an interrupted command goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from vqe_jax.data.pair import Pair, open_pairs
from vqe_jax.data.stage_inputs import has_inputs, write_inputs
from vqe_jax.errors import UserError, run_cli
from vqe_jax.flags import Parser
from vqe_jax.inference.ensemble import SYMMETRIES, enhance_frames_ensemble
from vqe_jax.weights import ModelFile, load_model

__all__ = ["main", "make_inputs", "parser"]


def make_inputs(
    files: Sequence[ModelFile],
    pairs: Sequence[Pair],
    folder: str | Path,
    *,
    self_ensemble: bool = False,
) -> int:
    """Enhances the compressed clips of pairs and keeps the results.

    Args:
      files: one model, or several that are averaged; in RGB.
      self_ensemble: average over the eight flips and quarter turns too.

    Returns:
      How many clips were enhanced; the others were there.

    Raises:
      UserError: a model of luma.
    """
    for file in files:
        if file.color != "rgb":
            raise UserError(f"stage inputs are RGB, but {file.model!r} works on {file.color}")
    symmetries = SYMMETRIES if self_ensemble else [0]
    made = 0
    for pair in pairs:
        if has_inputs(folder, pair):
            continue
        frames = enhance_frames_ensemble(
            files,
            pair.frames("compressed", "rgb"),
            symmetries=symmetries,
            qp=pair.qp if pair.qp >= 0 else None,
        )
        write_inputs(folder, pair, frames)
        made += 1
        print(f"{pair.name}: {len(pair)} frames", file=sys.stderr)
    return made


def _model(name: str, output: str | None) -> ModelFile:
    path = Path(name)
    if path.is_dir():
        path = next(
            (p for p in (path / "best.safetensors", path / "last.safetensors") if p.is_file()),
            path / "last.safetensors",
        )
    file = load_model(path if path.suffix else name)
    if output is None:
        return file
    return dataclasses.replace(file, kwargs={**file.kwargs, "output": output})


def parser() -> Parser:
    """All options with their defaults."""
    made = Parser(prog="python -m vqe_jax.training.stage_inputs", description=__doc__)
    made.add_argument("models", nargs="+", help="model files or run folders; several: averaged")
    made.add_argument("--to", required=True, help="folder of the results")
    made.add_argument("--data-dir", default="data")
    made.add_argument("--dataset", required=True)
    made.add_argument("--config-name", required=True)
    made.add_argument("--split", nargs="+", default=["train"])
    made.add_argument("--output", help="which output of an ASTF: stage1, ...")
    made.add_argument("--self-ensemble", action="store_true", help="x8 flips and quarter turns")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command.

    Args:
      argv: arguments; None takes those of the process.
    """
    args = parser().parse_args(argv)
    files = [_model(name, args.output) for name in args.models]
    for split in args.split:
        pairs = open_pairs(args.data_dir, args.dataset, split, args.config_name)
        made = make_inputs(files, pairs, args.to, self_ensemble=args.self_ensemble)
        print(f"{split}: {made} of {len(pairs)} clips enhanced, in {args.to}")


if __name__ == "__main__":
    run_cli(main)
