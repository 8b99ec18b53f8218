"""``python -m vqe_jax.data DATASET --data-dir ... --source ... --qp 37``: builds a data set."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import types
import typing
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from vqe_jax.data.sources import SOURCES, find_source
from vqe_jax.data.sources.base import Source
from vqe_jax.errors import UserError, run_cli
from vqe_jax.flags import Parser

__all__ = ["main", "parser"]

_COUNTS = ("workers", "frames", "max_frames", "min_frames", "min_side", "max_step", "encodings",
           "rounds", "kbps")  # fmt: skip
_SHARES = ("min_scale", "min_crop")


def _add_option(parser: Parser, field: dataclasses.Field[Any], kind: Any) -> None:
    flag, text = f"--{field.name.replace('_', '-')}", field.metadata["help"]
    shown = "" if field.default in (None, (), False) else f" (default: {_shown(field.default)})"
    if kind is bool:
        # What is off can only be put on; what is on has its --no-....
        action = argparse.BooleanOptionalAction if field.default else "store_true"
        parser.add_argument(flag, action=action, default=field.default, help=text)
        return
    several = typing.get_origin(kind) is tuple
    inner = typing.get_args(kind) if several or isinstance(kind, types.UnionType) else (kind,)
    parser.add_argument(
        flag,
        type=inner[0],
        nargs="+" if several else None,
        default=field.default,
        help=text + shown,
    )


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def parser(own: str | None = None) -> Parser:
    """All data sets with their options.

    Args:
      own: ``"module:Class"`` of a further source.
    """
    made = Parser(
        prog="vqe-data",
        description="Builds a data set of compressed and raw clips.",
        epilog="a source of your own: vqe-data my_module:MySource ...",
    )
    commands = made.add_subparsers(dest="dataset", metavar="DATASET", required=True)
    for name in (*SOURCES.names(), *([own] if own else [])):
        source = find_source(name)
        about = source.description
        command = commands.add_parser(name, help=about.split("\n")[0], description=about)
        _add_options(command, source)
    return made


def _add_options(command: Parser, source: Source) -> None:
    command.add_argument("--data-dir", default="data", help="folder of all data sets")
    command.add_argument("--workers", type=int, help="processes (default: one a core)")
    command.add_argument(
        "--planes",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="keep the decoded clips rather than decode them when they are first read",
    )
    command.add_argument(
        "--check", action="store_true", help="read all streams again and mend damaged ones"
    )
    command.add_argument("--quiet", action="store_true", help="no progress bar, no table")
    kinds = typing.get_type_hints(source.Options)
    fields = dataclasses.fields(source.Options)
    for field in sorted(fields, key=lambda f: f.name != "source"):
        _add_option(command, field, kinds[field.name])


def _check_numbers(options: Mapping[str, Any]) -> None:
    """Refuses counts below one, negative numbers, and shares that are none."""
    for name, value in options.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            continue
        least = 1 if name in _COUNTS else 0
        if not value >= least or (name in _SHARES and not 0 < value <= 1):
            expected = "a share of 1, more than 0" if name in _SHARES else f"at least {least}"
            raise UserError(f"--{name.replace('_', '-')} {value}; expected {expected}")


def _check_rate(text: str | None) -> None:
    """Refuses what is no number of frames per second."""
    try:
        good = text is None or Fraction(text) > 0
    except (ValueError, ZeroDivisionError):
        good = False
    if not good:
        raise UserError(f"--frame-rate {text}; expected frames per second, as 25 or 30000/1001")


def main() -> None:
    """Parses the command line, builds, and prints what was built."""
    own = next((word for word in sys.argv[1:2] if ":" in word), None)
    options = vars(parser(own).parse_args())
    from vqe_jax.data.build import build, print_summary

    _check_numbers(options)
    _check_rate(options.get("frame_rate"))
    built = build(options.pop("dataset"), options.pop("data_dir"), **options)
    if not options["quiet"]:
        print_summary(built)


if __name__ == "__main__":
    run_cli(main)
