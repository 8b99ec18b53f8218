"""``python -m vqe_jax.demo``: the whole way, from pictures to an enhanced video, in minutes.

Builds a small data set from pictures that come with scikit-image, trains a narrow network on it,
compares what it trained and the packaged model with the compressed input on clips that neither has
seen, and enhances a video file. What is done already is not done again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vqe_jax.errors import run_cli
from vqe_jax.flags import Parser
from vqe_jax.weights import DEFAULT_MODEL

__all__ = ["main", "run"]


def run(
    folder: Path,
    *,
    variant: str = "demo",
    steps: int | None = None,
    console: Console | None = None,
    **data: Any,
) -> None:
    """Builds, trains, evaluates and enhances; ends with a table of gains and files.

    Args:
      folder: everything that is made goes in here.
      variant: of ``configs/vig.py``.
      steps: of training; None: as the variant has it.
      **data: options of the data set, see :class:`vqe_jax.data.sources.demo.DemoOptions`.

    Raises:
      UserError: scikit-image is missing.
    """
    from vqe_jax.data.build import build

    console = console or Console()
    started = time.monotonic()
    _heading(console, "1 of 4: a small data set, encoded by x265 at QP 37")
    build("demo", folder / "data", **{"qp": (37,), **data})
    _heading(console, "2 of 4: training a narrow VIG")
    trained = _train(folder, variant, steps)
    models = {"trained": str(trained), "packaged": DEFAULT_MODEL}
    _heading(console, "3 of 4: clips that neither model has seen")
    rows = _evaluate(folder, models, console)
    _heading(console, "4 of 4: enhancing a video")
    files = _enhance(folder, console)
    _summary(console, rows, files | {"trained model": trained, "report": folder / "report"})
    console.print(f"done in {(time.monotonic() - started) / 60:.1f} minutes")


def _heading(console: Console, text: str) -> None:
    console.print(f"\n[bold]{text}[/bold]")


def _train(folder: Path, variant: str, steps: int | None) -> Path:
    from vqe_jax.training import loop, recipes

    changes = [("data.data_dir", str(folder / "data"))]
    changes += [] if steps is None else [("stages[0].steps", str(steps))]
    plan = recipes.load(f"vig:{variant}", changes)
    outcome = loop.run(plan, folder / "run")
    if not outcome.finished:
        raise KeyboardInterrupt
    return folder / "run" / "best.safetensors"


def _evaluate(folder: Path, models: dict[str, str], console: Console) -> list[tuple[str, ...]]:
    from vqe_jax.data import open_pairs
    from vqe_jax.evaluation.clips import clips_from_pairs
    from vqe_jax.evaluation.metrics import find_metrics
    from vqe_jax.evaluation.models import open_models
    from vqe_jax.evaluation.report import write_report
    from vqe_jax.evaluation.run import evaluate

    opened = open_models([f"{label}={path}" for label, path in models.items()])
    clips = clips_from_pairs(open_pairs(folder / "data", "demo", "val", "qp37"))
    report = evaluate(
        opened, clips, find_metrics([], "luma"), console=console, command="python -m vqe_jax.demo"
    )
    write_report(report, folder / "report")
    rows: list[tuple[str, ...]] = []
    for label in models:
        psnr, ssim = (
            [float(r.gain(name, label).mean()) for r in report.results]
            for name in ("psnr_y", "ssim_y")
        )
        means = f"{np.mean(psnr):+.3f} dB", f"{100 * np.mean(ssim):+.2f}"
        rows.append((label, *means, f"{min(psnr):+.3f} dB", str(len(psnr))))
    return rows


def _enhance(folder: Path, console: Console) -> dict[str, Path]:
    from vqe_jax import enhance_video
    from vqe_jax.data import open_pairs

    pair = open_pairs(folder / "data", "demo", "val", "qp37")[0]
    source, target = folder / "compressed.hevc", folder / "enhanced.mkv"
    source.write_bytes(pair.encoded("compressed"))
    done = enhance_video(source, target, model=DEFAULT_MODEL)
    console.print(f"{done.frames} frames, {done.frames / done.seconds:.1f} a second")
    return {"compressed video": source, "enhanced video": target}


def _summary(console: Console, rows: list[tuple[str, ...]], files: dict[str, Path]) -> None:
    gained = Table(
        "model",
        "PSNR-Y",
        "SSIM x 100",
        "worst clip",
        "clips",
        title="gained over the compressed input",
    )
    for row in rows:
        gained.add_row(*row)
    where = Table("what", "file", title="where things are")
    for name, path in files.items():
        where.add_row(name, escape(str(path)))
    console.print(gained, where)


def main() -> None:
    """The command."""
    parser = Parser(prog="python -m vqe_jax.demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("runs/demo"), help="for everything")
    parser.add_argument("--variant", default="demo", help="of configs/vig.py")
    parser.add_argument("--steps", type=int, help="of training (default: the variant's)")
    given = parser.parse_args()
    run(given.folder, variant=given.variant, steps=given.steps)


if __name__ == "__main__":
    run_cli(main)
