"""Command line: ``python -m vqe_jax.weights list | cards | convert | note | sign | fetch``.

``list`` shows the packaged models and the perceptual networks with address, license and checksum.
``cards`` prints the page of the packaged models' cards, or writes it.
``convert`` turns official weights of a network into a model file. ``note`` writes into one what it
was measured on, so that nobody is warned of that. ``sign`` brings a model file of an earlier
version, whose description was not under its checksum, to this one. ``fetch`` brings the weights of
perceptual networks into the cache, or writes them into one file for machines without a net.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import logging
from pathlib import Path
from typing import Any

import av
import jax
import numpy as np

from vqe_jax import models
from vqe_jax.errors import UserError, near_misses, run_cli
from vqe_jax.files import replacing
from vqe_jax.flags import Parser
from vqe_jax.weights.cards import cards_page
from vqe_jax.weights.conversion import from_torch
from vqe_jax.weights.model_file import (
    ModelFile,
    check_model,
    load_model,
    packaged_models,
    read_model,
    save_model,
)
from vqe_jax.weights.perceptual import PERCEPTUAL, load_perceptual, save_perceptual
from vqe_jax.weights.perceptual_parts import PARTS
from vqe_jax.weights.tensor_files import read_state_dict, read_tensors

__all__ = ["main", "parser"]


def _list(args: argparse.Namespace) -> None:
    del args
    print("Packaged models:")
    for name, path in packaged_models().items():
        file = load_model(path)
        print(f"  {name:24} {file.model} {file.kwargs} {file.color} qp={list(file.qp)}")
        print(f"  {'':24} {file.source}")
    print("Perceptual networks (python -m vqe_jax.weights fetch NAME):")
    for name, parts in PERCEPTUAL.items():
        print(f"  {name}")
        for part in parts:
            remote = PARTS[part].remote
            print(f"    {PARTS[part].title}: {remote.url} {remote.member}".rstrip())
            print(f"      sha256 {remote.sha256}  {remote.license}  {remote.megabytes:g} MB")
            print(f"      or a file in {' or '.join(PARTS[part].variables)}")


def _cards(args: argparse.Namespace) -> None:
    page = cards_page()
    if args.destination is None:
        print(page, end="")
        return
    with replacing(args.destination) as part:
        part.write_text(page)
    print(f"wrote {args.destination}")


def _setting(text: str, model: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    known = models.fields(model)
    if not sign or key not in known:
        hint = near_misses(key, known)
        raise UserError(f"--set {text!r}: expected FIELD=VALUE with a field of {model!r}{hint}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def _destination(args: argparse.Namespace) -> Path:
    """Where a model file may go: not over what it is made from."""
    path, source = Path(args.destination), Path(args.source)
    if path.suffix != ".safetensors" or path.is_dir():
        raise UserError(f"{path} is no name of a model file; expected one ending in .safetensors")
    if path.exists() and source.exists() and path.samefile(source):
        raise UserError(f"{path} is the source itself; write to another file")
    return path


def _written(file: ModelFile, path: Path, args: argparse.Namespace) -> None:
    check_model(file, f"model file {args.source}")  # what is written can be read
    save_model(path, file)


def _single(tensor: np.ndarray) -> np.ndarray:
    """Weights that were kept in double precision."""
    return tensor.astype(np.float32) if tensor.dtype == np.float64 else tensor


def _convert(args: argparse.Namespace) -> None:
    source, destination = Path(args.source), _destination(args)
    if wrong := [qp for qp in args.qp if not 0 <= qp <= 51]:
        raise UserError(f"--qp {wrong[0]}; expected QPs of HEVC, 0 to 51")
    kwargs = dict(_setting(text, args.model) for text in args.set)
    color = args.color or models.build(args.model, **kwargs).color
    torch_file = source.suffix in (".pth", ".pt") and source.is_file()
    tensors = read_state_dict(source) if torch_file else read_tensors(source)
    tensors = {k.removeprefix("sd/"): v for k, v in tensors.items()}
    variables = jax.tree.map(_single, from_torch(args.model, tensors, **kwargs))
    origin = args.note or f"converted from {source.name}"
    file = ModelFile(args.model, kwargs, variables, color, tuple(args.qp), origin)
    _written(file, destination, args)
    print(f"wrote {destination}: {args.model} {kwargs}")


def _note(args: argparse.Namespace) -> None:
    for name in args.codecs:
        if name not in av.codecs_available:
            hint = near_misses(name, av.codecs_available)
            hint = hint if hint.startswith("; did") else "; expected such as hevc, h264 or vp9"
            raise UserError(f"--codecs {name}: FFmpeg knows no such codec{hint}")
    file, destination = load_model(args.source), _destination(args)
    measured = {"codecs": args.codecs, "any_qp": args.any_qp}
    file = dataclasses.replace(
        file,
        source=args.says or file.source,
        extra={**file.extra, "measured": measured},
    )
    _written(file, destination, args)
    print(f"wrote {destination}: measured on {', '.join(args.codecs)}")


def _sign(args: argparse.Namespace) -> None:
    destination = _destination(args)
    file = read_model(Path(args.source), unsigned=True)
    _written(file, destination, args)
    print(f"wrote {destination}: {file.model} {file.kwargs}")


def _fetch(args: argparse.Namespace) -> None:
    if args.output and len(args.networks) != 1:
        raise UserError(f"--output takes one network, not {len(args.networks)}")
    for name in args.networks:
        weights = load_perceptual(name, path=args.file)
        print(f"{name}: {weights.source}")
        if args.output:
            save_perceptual(weights, args.output)
            print(f"wrote {args.output}")


def parser() -> Parser:
    """All subcommands with their options."""
    made = Parser(prog="python -m vqe_jax.weights", description=__doc__)
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="packaged models and perceptual networks")
    listing.set_defaults(run=_list)

    cards = commands.add_parser("cards", help="what is known of each packaged model, Markdown")
    cards.add_argument("destination", nargs="?", help="the page to write: docs/models.md")
    cards.set_defaults(run=_cards)

    convert = commands.add_parser("convert", help="official weights into a model file")
    convert.add_argument("model", help="the network: vig, stdf, basicvsr, ...")
    convert.add_argument("source", help=".pth (needs the extra 'convert') or .npz, official names")
    convert.add_argument("destination", help="the .safetensors to write")
    convert.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    convert.add_argument("--color", choices=("luma", "rgb"), help="default: the network's")
    convert.add_argument("--qp", type=int, nargs="*", default=[], help="QPs it was trained at")
    convert.add_argument("--note", default="", help="where the weights come from")
    convert.set_defaults(run=_convert)

    note = commands.add_parser("note", help="writes into a model file what it was measured on")
    note.add_argument("source", help="a model file, or a run's folder")
    note.add_argument("destination", help="the .safetensors to write")
    note.add_argument("--codecs", nargs="+", required=True, help="by FFmpeg's names: hevc h264 vp9")
    note.add_argument("--any-qp", action="store_true", help="at qualities of all kinds")
    note.add_argument("--says", default="", help="where the weights come from, in a sentence")
    note.set_defaults(run=_note)

    sign = commands.add_parser("sign", help="a model file of an earlier version into one of this")
    sign.add_argument("source", help="the .safetensors of an earlier version")
    sign.add_argument("destination", help="the .safetensors to write")
    sign.set_defaults(run=_sign)

    fetch = commands.add_parser("fetch", help="weights of perceptual networks")
    fetch.add_argument("networks", nargs="+", metavar="NAME", help=", ".join(PERCEPTUAL))
    fetch.add_argument("--file", action="append", help="take them from this file (repeatable)")
    fetch.add_argument("--output", help="also write them into one .safetensors")
    fetch.set_defaults(run=_fetch)
    return made


def main(argv: list[str] | None = None) -> None:
    """Runs a command.

    Args:
      argv: arguments; None takes those of the process.

    Raises:
      UserError: as the message says; :func:`vqe_jax.errors.run_cli` turns it into an exit code.
    """
    args = parser().parse_args(argv)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("vqe_jax").setLevel(logging.INFO)  # conversion tells what it drops
    args.run(args)


if __name__ == "__main__":
    run_cli(main)
