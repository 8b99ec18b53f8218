"""The command line of enhancing a file: ``enhance.py IN OUT [--model NAME] ...``.

``enhance.py models`` alone prints the cards of the packaged models, and ``enhance.py export MODEL
OUT`` writes one as a program for elsewhere.
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import ProgressColumn, Task
from rich.text import Text

from vqe_jax.errors import UserError
from vqe_jax.flags import Group, Parser
from vqe_jax.inference.file import Enhanced, Job, Request, prepare, run, trial
from vqe_jax.inference.options import StreamOptions
from vqe_jax.inference.scenes import SceneCut
from vqe_jax.inference.tiles import Tiling
from vqe_jax.programs import add_option, keep
from vqe_jax.terminal import plain, progress_bar
from vqe_jax.video import PixelFormat, open_reader
from vqe_jax.video.encoders import DEFAULT_OPTIONS
from vqe_jax.weights import DEFAULT_MODEL, load_model, packaged_models
from vqe_jax.weights.cards import read_card
from vqe_jax.weights.export import save_exported

__all__ = ["main", "parser"]

_SMALLEST_TILE = 16
_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def _duration(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|)", text)
    if not match or not float(match[1]):
        raise argparse.ArgumentTypeError(
            f"duration {text!r} is not understood; expected 5, 5s, 2m or 1h"
        )
    return float(match[1]) * _UNITS[match[2]]


def _tile(text: str) -> int:
    if not text.isdigit() or int(text) < _SMALLEST_TILE:
        raise argparse.ArgumentTypeError(
            f"tile {text!r} is not understood; expected a side in pixels of {_SMALLEST_TILE} or "
            "more, as 512"
        )
    return int(text)


def _tiling(size: int | None, centers: int | None) -> Tiling | None:
    if centers is None:
        return Tiling(size) if size else None
    if size is None or centers < 0:
        raise UserError(
            f"--tile-centers {centers} cuts so many pixels off the tiles' sides: it needs a number "
            "from 0 and the tiles' size, as --tile 72 --tile-centers 5"
        )
    return Tiling(size, centers, "centers")


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise argparse.ArgumentTypeError(
            f"size {text!r} is not understood; expected WxH, as 416x240"
        )
    return int(match[1]), int(match[2])


def _qp(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdigit() or int(text) > 51:
        raise argparse.ArgumentTypeError(f"QP {text!r} is out of range; expected 0 to 51, or auto")
    return int(text)


def _peaks(text: str) -> int | str:
    if text in ("qp", "measure"):
        return text
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"peaks {text!r} is not understood; expected qp, measure, or a period such as 4"
        )
    return int(text)


def _assignment(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(
            f"encoder option {text!r} is not understood; expected name=value"
            " (IN and OUT stand before --encoder-options)"
        )
    return name, value


def parser() -> Parser:
    """All options with their defaults."""
    made = Parser(
        prog="vqe-enhance",
        description="Enhances a compressed video; everything but the picture stays as it was. "
        "'vqe-enhance models' prints what each packaged model is for and what it gains; "
        "'vqe-enhance export MODEL OUT' writes a network of single frames as StableHLO.",
    )
    made.add_argument("src", metavar="IN", help="a video, raw .yuv or .y4m, or a folder of PNG")
    made.add_argument(
        "dst", metavar="OUT", help=".mkv, .mp4, ..., .yuv, .y4m, or no suffix for a PNG folder"
    )
    _add_model(made.add_argument_group("model"))
    _add_output(made.add_argument_group("output"))
    source = made.add_argument_group("input")
    source.add_argument("--size", type=_size, metavar="WxH", help="of a raw file")
    source.add_argument("--pixel-format", help="of a raw file, as yuv420p10le")
    source.add_argument("--keep-damaged", action="store_true", help="go on over damaged frames")
    made.add_argument(
        "--plan", action="store_true", help="make all checks, say what would be done, and stop"
    )
    made.add_argument(
        "--force", action="store_true", help="go on where the result may be worse or lose its sound"
    )
    add_option(made)
    made.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    return made


def _add_model(model: Group) -> None:
    names = ", ".join(packaged_models()) or "none"
    model.add_argument(
        "--model",
        help=f"packaged ({names}), a model file, a run's folder (default: {DEFAULT_MODEL}, or a "
        "specialist where it is measured better for the codec and QP of IN)",
    )
    model.add_argument("--qp", type=_qp, help="QP of IN for networks that ask: 0 to 51, or auto")
    model.add_argument(
        "--peaks",
        type=_peaks,
        default="qp",
        help="how a network that looks at peak-quality frames is told which they are: qp (the "
        "bitstream), measure (the pictures), or a number: every n-th frame",
    )
    model.add_argument("--no-scene-cuts", action="store_true", help="carry the state across cuts")
    model.add_argument(
        "--skip-duplicates",
        action="store_true",
        help="enhance exact copies of the frame before once; says how many there were",
    )
    model.add_argument("--tile", type=_tile, metavar="PIXELS", help="work on tiles, to save memory")
    model.add_argument(
        "--tile-centers",
        type=int,
        metavar="MARGIN",
        help="average the centers of overlapping tiles, without so many pixels: --tile 72 "
        "--tile-centers 5 is RCVN's way",
    )
    model.add_argument(
        "--devices",
        type=int,
        metavar="N",
        help="local devices that share the work (default: all accelerators, or the one CPU)",
    )


def _add_output(output: Group) -> None:
    output.add_argument(
        "--codec",
        help="encoder (libx265; libvpx-vp9 in .webm, libx264 in .avi); ffv1 is lossless",
    )
    output.add_argument(
        "--encoder-options",
        nargs="+",
        type=_assignment,
        metavar="NAME=VALUE",
        help=f"of the encoder, beside or instead of {_plain(DEFAULT_OPTIONS['libx265'])}",
    )
    output.add_argument("--preview", type=_duration, metavar="TIME", help="only the beginning: 5s")
    output.add_argument("--split", action="store_true", help="left half as it was, to compare")


def _plain(options: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items())


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Frames per second."""
        return Text(f"{task.speed:.2f} fps" if task.speed else "")


def _kind(text: str) -> str:
    """What repeated warnings have in common: those of single frames differ by their figures."""
    figures = r"-?\d+(\.\d+)?(e[+-]\d+)?"
    return re.sub(figures, "#", text) if re.search(r"\bframe \d", text) else text


class _Said:
    """Warnings as lines, each when it first comes; in the end, how often it came again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._again: dict[str, tuple[int, str]] = {}

    def show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        """Takes the place of :func:`warnings.showwarning`."""
        text = " ".join(str(message).split())
        kind = _kind(text)
        count, _ = self._again.get(kind, (-1, ""))
        self._again[kind] = (count + 1, text)
        if count < 0:
            self._print(text)

    def close(self) -> None:
        """Says what was kept back."""
        for count, text in self._again.values():
            if count:
                self._print(f"{count} more of this kind, the last: {text}")

    def _print(self, text: str) -> None:
        self._console.print(f"warning: {text}", style="yellow", markup=False, highlight=False)


@contextmanager
def _warnings_on(console: Console) -> Iterator[None]:
    said = _Said(console)
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = said.show
        try:
            yield
        finally:
            said.close()


@contextmanager
def _bar(console: Console, job: Job) -> Iterator[Callable[[int, int | None], None]]:
    with progress_bar(console, before=[_Speed(), plain("ETA")]) as bar:
        task = bar.add_task("compiling", total=job.frames)

        def show(done: int, expected: int | None) -> None:
            bar.update(task, completed=done, total=expected, description="enhancing")

        yield show


def _describe(job: Job, *, chosen: bool) -> str:
    source, target = job.reader.info, job.target
    rate = f", {float(source.frame_rate):.5g} fps" if source.frame_rate else ""
    count = f", {job.frames} frames" if job.frames else ""
    qp = "unknown" if job.source_qp is None else f"{job.source_qp:.1f} on average"
    network = type(job.ready.network).__name__
    told = f", told QP {job.qp}" if job.qp is not None else ""
    if chosen and job.model != DEFAULT_MODEL:
        told += f"; measured best for such a source, --model {DEFAULT_MODEL} is faster"
    lines = [
        f"in     {job.reader.path}: {source.width}x{source.height} {source.pixel_format.av_name}, "
        f"{source.codec}{rate}{count}, QP {qp}",
        f"model  {job.model}: {network} on {job.color}{told}",
        f"out    {job.dst}: {target.width}x{target.height} {target.pixel_format.av_name}"
        + _encoder(job),
    ]
    return "\n".join(lines)


def _encoder(job: Job) -> str:
    if job.dst.suffix.lower() in ("", ".yuv", ".y4m"):
        return ""
    return f", {job.codec} {_plain(job.encoder_options)}".rstrip()


def _estimate(job: Job, rate: float) -> str:
    """The plan's last line: how long, and how much memory the trial took."""
    text = f"time   {rate:.2f} fps without the encoder"
    if job.frames:
        text += f", about {datetime.timedelta(seconds=round(job.frames / rate))}"
    if sys.platform == "linux":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        text += f"; {peak:.1f} GiB of host memory"
    return text


def _done(result: Enhanced) -> str:
    rate = result.frames / max(result.seconds, 1e-9)
    text = f"{result.path}: {result.frames} frames in {result.seconds:.1f} s ({rate:.2f} fps)"
    if result.copies is None:
        return text
    return (
        f"{text}; {result.copies} of them are exact copies of the frame before and got its result"
    )


def _is_other_work(words: Sequence[str]) -> bool:
    """Does what needs no file to enhance; a file of such a name has an OUT and nothing more."""
    if list(words) == ["models"]:
        print("\n\n".join(read_card(name).text() for name in packaged_models()))
        return True
    if words[:1] == ["export"] and len(words) == 3 and not words[2].startswith("-"):
        save_exported(words[2], load_model(words[1]))
        print(f"wrote {words[2]}")
        return True
    return False


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; mistakes of the user come out as :class:`UserError`.

    Args:
      argv: arguments without the program's name; None for the process's.

    Returns:
      0.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if _is_other_work(words):
        return 0
    args = parser().parse_args(words)
    console = Console(stderr=True, soft_wrap=True, markup=False)
    say = (lambda _: None) if args.quiet else (lambda text: print(text, flush=True))
    kept = keep(args.program_cache)
    with _warnings_on(console):
        layout = PixelFormat.from_av(args.pixel_format) if args.pixel_format else None
        if (args.size or layout) and Path(args.src).suffix.lower() != ".yuv":
            raise UserError(
                f"--size and --pixel-format are for raw .yuv files; {args.src} tells its own"
            )
        reader = open_reader(
            args.src, size=args.size, pixel_format=layout, keep_damaged=args.keep_damaged
        )
        request = Request(
            model=args.model,
            qp=args.qp,
            peaks=args.peaks,
            codec=args.codec,
            encoder_options=dict(args.encoder_options or ()),
            preview=args.preview,
            split=args.split,
            skip_duplicates=args.skip_duplicates,
            force=args.force,
        )
        job = prepare(reader, Path(args.dst), request)
        say(_describe(job, chosen=args.model is None))
        if kept:
            say(kept)
        how = StreamOptions(
            scene_cut=None if args.no_scene_cuts else SceneCut(),
            tiling=_tiling(args.tile, args.tile_centers),
            devices=args.devices,
        )
        if args.plan:
            say(_estimate(job, trial(job, how)))
            return 0
        if args.quiet:
            run(job, how)
            return 0
        with _bar(console, job) as show:
            result = run(job, how, progress=show)
        say(_done(result))
    return 0
