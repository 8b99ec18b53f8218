"""The command line of ``evaluate.py``."""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from vqe_jax.errors import UserError
from vqe_jax.flags import Group, Parser
from vqe_jax.programs import add_option, keep

__all__ = ["main", "parser"]

_ABOUT = """Evaluates models on a data set or on a pair of files and writes a report.

  python evaluate.py runs/vig                                     the run's own validation clips
  python evaluate.py vig_qp37 --dataset jct_vc --split test --config-name qp37
  python evaluate.py a.safetensors b.safetensors --raw a.yuv --compressed a.hevc
  python evaluate.py rfda=qp22.safetensors rfda=qp37.safetensors --dataset jct_vc \\
      --split test --config-name qp22 qp27 qp32 qp37              one network, a file for each QP
  python evaluate.py runs/vig --long-run 2000                     does the gain last?
  python evaluate.py a.safetensors b.safetensors --dataset ldv --split test \\
      --config-name track1 --metrics psnr,ssim,ms_ssim,lpips,dists,fid,kid,vmaf
  python evaluate.py runs/astf --outputs all --metrics psnr_rgb_uint8 ssim_rgb_gaussian \\
      lpips_alex flicker_smooth                                   every step of ASTF
  python evaluate.py runs/basicvsr --dataset ldv --split test --config-name track1 \\
      --tables ntire2021                     the report's Tables 1 to 4, published rows and ours
  python evaluate.py vue=a.safetensors+b.safetensors@x8 \\
      shannon=mean:1.safetensors,2.safetensors                    results or weights averaged
"""


def parser() -> Parser:
    """All options with their defaults."""
    made = Parser(prog="vqe-evaluate", description=_ABOUT)
    made.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="run folder, model file or packaged name, all packaged ones if none is given; "
        "LABEL=MODEL names its column, A+B averages results, mean:A,B averages weights, @x8 turns",
    )
    _add_data(made.add_argument_group("what to evaluate on"))
    _add_engine(made.add_argument_group("how to enhance"))
    out = made.add_argument_group("what comes out")
    _add_report(out)
    add_option(made)
    out.add_argument("--quiet", action="store_true", help="no progress, no tables")
    return made


def _add_data(data: Group) -> None:
    data.add_argument("--data-dir", help="folder of all data sets (default: the run's, or data)")
    data.add_argument("--dataset", help="name of the data set (default: the run's)")
    data.add_argument("--config-name", nargs="+", help="its configurations, e.g. qp22 qp37")
    data.add_argument("--split", help="its split (default: the run's validation, or test)")
    data.add_argument("--clips", nargs="+", help="only the clips of these names")
    data.add_argument("--raw", help="the truth, instead of a data set: any video or .yuv")
    data.add_argument("--compressed", help="the same video, compressed")
    data.add_argument("--size", help="WxH of .yuv files whose names do not say it")
    data.add_argument("--qp", type=int, help="of --compressed, where its stream does not tell")
    data.add_argument("--frames", type=int, help="evaluate only so many frames of each clip")


def _add_engine(how: Group) -> None:
    how.add_argument(
        "--ensemble",
        default="x1",
        metavar="xN",
        help="average over symmetries, of the models that name none by @xN: x2, x4 (mirrors), "
        "x4_turns, x6 (mirrors and turns but their products), x8 (all), or x12 of two or three "
        "models",
    )
    how.add_argument(
        "--self-ensemble", action="store_const", const="x8", dest="ensemble", help="--ensemble x8"
    )
    how.add_argument("--tile", type=int, help="work on tiles with sides of so many pixels")
    how.add_argument("--devices", type=int, metavar="N", help="local devices that share the work")
    how.add_argument("--chunk", type=int, help="frames at once (see enhance_frames)")
    how.add_argument("--long-range", choices=("exact", "fast"), help="for bidirectional networks")
    how.add_argument("--overlap", type=int, help="frames that pieces share with --long-range fast")
    how.add_argument("--scene-cuts", action="store_true", help="start afresh at scene cuts")
    how.add_argument(
        "--outputs",
        nargs="+",
        default=[],
        metavar="STEP",
        help="evaluate these steps of a network of several (ASTF: stage1, "
        "enhance2, enhance1, fuse, fuse_sharp), or all",
    )


def _add_report(out: Group) -> None:
    out.add_argument(
        "--metrics",
        nargs="+",
        default=[],
        help="names, also joined by commas (default: PSNR and SSIM): psnr, ssim, ms_ssim, lpips, "
        "dists, fid, kid, vmaf, flicker, or exact ones as lpips_vgg; what cannot be measured here "
        "is named in the report",
    )
    out.add_argument(
        "--tables",
        nargs="+",
        default=[],
        metavar="PAPER",
        help="tables of papers with their published rows: ntire2021 (the report's Tables 1 to 4), "
        "powervqe; their metrics are measured too",
    )
    out.add_argument(
        "--chroma",
        choices=("compressed", "raw"),
        default="compressed",
        help="whose chroma a model of luma is joined with for metrics of RGB (raw: "
        "damage of luma alone, as in PeQuENet's tables)",
    )
    out.add_argument("--out", help="folder of the report (default: reports/NAME)")
    long = "play each clip back and forth for N frames instead"
    out.add_argument("--long-run", type=int, metavar="N", help=long)


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates; prints the tables and where the report is.

    Args:
      argv: the arguments; None: those of the process.

    Returns:
      0, or 1 where a long run drifts.
    """
    given = parser().parse_args(argv)
    command = shlex.join(["python", "evaluate.py", *(sys.argv[1:] if argv is None else argv)])
    # Imported here: --help should not wait for JAX.
    from vqe_jax.evaluation.measure import Options
    from vqe_jax.evaluation.metrics import find_metrics
    from vqe_jax.evaluation.models import open_models
    from vqe_jax.evaluation.outputs import draw_all_steps, with_outputs
    from vqe_jax.evaluation.papers import PAPERS
    from vqe_jax.evaluation.report import write_report
    from vqe_jax.evaluation.run import evaluate, print_table

    # A file has no edge to fold numbers at.
    console = Console(quiet=given.quiet, width=None if sys.stdout.isatty() else 400, markup=False)
    if kept := keep(given.program_cache):
        console.print(kept, highlight=False, soft_wrap=True, markup=False)
    opened = open_models(given.models, given.ensemble)
    models = with_outputs(opened, given.outputs)
    papers = [PAPERS.get(name).metrics[models[0].color] for name in given.tables]
    metrics = find_metrics([*given.metrics, *itertools.chain(*papers)], models[0].color)
    for name, why in metrics.missing.items():
        console.print(f"{name} is missing: {why}", highlight=False, soft_wrap=True, markup=False)
    clips, name = _clips(given)
    out = given.out or Path("reports") / name
    if given.long_run is not None:
        protocol = _own_protocol(metrics.frames, models[0].color)
        return _long_run(given.long_run, models, clips, protocol, out, command, console)
    report = evaluate(
        models,
        clips,
        metrics,
        papers=given.tables,
        options=Options(_stream_options(given), given.chroma),
        command=command,
        console=console,
    )
    written = write_report(report, out)
    if given.outputs:
        draw_all_steps(opened, clips, out)
    for table in report.tables:
        print_table(table, console, with_note=table in report.paper_tables)
    for line in [*map(": ".join, report.descriptions.items()), *report.remarks]:
        console.print(line, highlight=False, soft_wrap=True)
    if not any(file.endswith(".png") for file in written):
        console.print("no plots: matplotlib is not installed (pip install 'vqe-jax[plots]')")
    console.print(f"report: {written['report.md']}", highlight=False, soft_wrap=True)
    return 0


def _own_protocol(protocols: Sequence[Any], color: str) -> Any:
    for protocol in protocols:
        if protocol.color == color:
            return protocol
    raise UserError(
        f"--long-run needs a metric of {color}, which the models work on; leave "
        "--metrics out or name one"
    )


def _long_run(
    length: int, models: Any, clips: Any, protocol: Any, out: Any, command: str, console: Console
) -> int:
    from vqe_jax.evaluation.report import write_long_run
    from vqe_jax.evaluation.run import evaluate_long, print_table

    tables, runs = evaluate_long(models, clips, protocol, length=length, console=console)
    written = write_long_run(runs, tables, out, command=command)
    for table in tables:
        print_table(table, console)
    console.print(f"report: {written['long_run.md']}", highlight=False, soft_wrap=True)
    return 0 if all(run.is_flat for found in runs.values() for run in found) else 1


def _stream_options(given: argparse.Namespace) -> dict[str, Any]:
    from vqe_jax.inference import SceneCut, Tiling

    options: dict[str, Any] = {
        "chunk": given.chunk,
        "devices": given.devices,
        "long_range": given.long_range,
        "overlap": given.overlap,
        "tiling": None if given.tile is None else Tiling(given.tile),
        "scene_cut": SceneCut() if given.scene_cuts else None,
    }
    return {key: value for key, value in options.items() if value is not None}


def _clips(given: argparse.Namespace) -> tuple[list[Any], str]:
    """The clips and a name for the report's folder."""
    from vqe_jax.evaluation.clips import clip_from_files

    if given.frames is not None and given.frames < 1:
        raise UserError(f"--frames {given.frames} must be at least 1")
    if bool(given.raw) != bool(given.compressed):
        raise UserError("--raw and --compressed belong together; give both or a --dataset")
    _check_of_use(given)
    if not given.raw:
        return _from_data_set(given)
    options = {"size": _size(given.size)} if given.size else {}
    clip = clip_from_files(given.raw, given.compressed, qp=given.qp, limit=given.frames, **options)
    return [clip], clip.name


def _check_of_use(given: argparse.Namespace) -> None:
    """Refuses options that would be without effect."""
    of_files = ("size", "qp")
    of_sets = ("dataset", "data_dir", "config_name", "split", "clips")
    useless = [name for name in (of_sets if given.raw else of_files) if getattr(given, name)]
    if useless:
        where = "a data set" if given.raw else "--raw and --compressed"
        raise UserError(f"--{useless[0].replace('_', '-')} is of use with {where} only")
    raw = [name for name in (given.raw, given.compressed) if str(name).lower().endswith(".yuv")]
    if given.size and _size(given.size) and not raw:
        raise UserError(f"--size is for .yuv files; {given.raw} and {given.compressed} tell theirs")
    if given.overlap is not None and given.long_range != "fast":
        raise UserError("--overlap is of use with --long-range fast only")


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise UserError(f"--size {text} is not WIDTHxHEIGHT, e.g. 416x240")
    return int(width), int(height)


def _from_data_set(given: argparse.Namespace) -> tuple[list[Any], str]:
    from vqe_jax.evaluation.models import member_names, run_config
    from vqe_jax.evaluation.target import EvalTarget

    config = next((c for c in map(run_config, member_names(given.models)) if c), {})
    target = EvalTarget.from_run(config).with_flags(
        dataset=given.dataset,
        data_dir=given.data_dir,
        config_names=given.config_name,
        split=given.split,
    )
    return target.clips(given.clips or (), limit=given.frames), str(target.dataset)
