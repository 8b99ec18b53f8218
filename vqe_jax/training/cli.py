"""Trains a network: ``--config RECIPE[:variant] [--config.key=value ...] [--workdir DIR]``.

  python train.py --config configs/vig.py:qp32 --workdir runs/vig
  vqe-train --config vig:demo --config.stages[0].steps=100

A recipe is a file or the name of one of the package's own. The same command resumes a run that was
stopped; for one that exists, --workdir is enough. ``--config RECIPE --help`` tells its variants.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from vqe_jax.errors import UserError
from vqe_jax.files import read_json
from vqe_jax.flags import Parser
from vqe_jax.programs import add_option, keep
from vqe_jax.training import recipes
from vqe_jax.training.stages import Run, parse

__all__ = ["main", "read_command"]

_OVERRIDE = re.compile(r"--config\.([^=]+)(?:=(.*))?$", re.DOTALL)


def _parser() -> Parser:
    own = ", ".join(recipes.names())
    made = Parser(prog="vqe-train", description=__doc__, add_help=False)
    made.add_argument("-h", "--help", action="store_true", help="show this, or about --config")
    made.add_argument("--config", metavar="RECIPE[:variant]", help=f"a file, or one of {own}")
    made.add_argument("--workdir", help="resumed if it exists (default: runs/RECIPE_VARIANT)")
    made.add_argument("--distributed", action="store_true", help="one of several processes")
    made.add_argument("--coordinator", metavar="HOST:PORT", help="default: from the cluster")
    made.add_argument("--processes", type=int, help="how many processes")
    made.add_argument("--process", type=int, help="number of this one")
    made.add_argument(
        "--start-timeout",
        type=int,
        metavar="S",
        help="seconds to wait for the other processes (config.distributed.start_timeout: 60)",
    )
    made.add_argument(
        "--peer-timeout",
        type=int,
        metavar="S",
        help="seconds after which a silent one is gone (config.distributed.peer_timeout: 45)",
    )
    add_option(made)
    made.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return made


def read_command(argv: Sequence[str]) -> tuple[Run, Path, argparse.Namespace]:
    """The run, its work directory, and the other flags.

    Args:
      argv: arguments without the program's name.

    Raises:
      UserError: a flag, file, key or value that cannot be.
    """
    overrides = [(m[1], m[2]) for m in map(_OVERRIDE.match, argv) if m]
    for path, text in overrides:
        if text is None:
            raise UserError(f"--config.{path} needs a value: --config.{path}=VALUE")
    given = _parser().parse_args([a for a in argv if not _OVERRIDE.match(a)])
    if given.config is not None:
        run = recipes.load(given.config, overrides)
        return run, Path(given.workdir or _default_workdir(given.config)), given
    if overrides:
        raise UserError(f"--config.{overrides[0][0]} needs --config")
    stored = Path(given.workdir or "") / "config.json"
    if given.workdir is None or not stored.is_file():
        raise UserError(
            "--config is missing; name a recipe, as configs/vig.py, or the --workdir "
            "of a run to go on with"
        )
    return parse(read_json(stored)), Path(given.workdir), given


def _default_workdir(recipe: str) -> str:
    """``runs/vig_demo`` for ``configs/vig.py:demo``."""
    name, _, variant = recipe.partition(":")
    words = re.findall(r"[\w.+-]+", variant)
    return "/".join(["runs", "_".join([Path(name).stem, *words])])


def main(argv: Sequence[str] | None = None) -> int:
    """Trains as the command line says.

    Args:
      argv: arguments; None: those of the process.

    Returns:
      The exit code: 0, or 128 plus the signal that stopped the run.

    Raises:
      UserError: any mistake.
    """
    argv = sys.argv[1:] if argv is None else argv
    if {"-h", "--help"} & set(argv):
        config = _parser().parse_args([a for a in argv if not _OVERRIDE.match(a)]).config
        print(recipes.about(config) if config else _parser().format_help())
        return 0
    run, workdir, given = read_command(argv)
    with contextlib.ExitStack() as stack:
        if _is_one_of_several(given):
            from vqe_jax.training.rendezvous import joined

            limits = run.distributed
            stack.enter_context(
                joined(
                    given.coordinator,
                    given.processes,
                    given.process,
                    start_timeout=_first(given.start_timeout, limits.start_timeout),
                    peer_timeout=_first(given.peer_timeout, limits.peer_timeout),
                )
            )
        from vqe_jax.training import loop
        from vqe_jax.training.processes import is_primary

        place = keep(given.program_cache)
        if place and is_primary() and not given.quiet:
            print(place, flush=True)
        return loop.run(run, workdir, quiet=given.quiet).exit_code


def _is_one_of_several(given: argparse.Namespace) -> bool:
    """Each process alone would train the same run: flags that are of no use are mistakes."""
    names = ("coordinator", "processes", "process", "start_timeout", "peer_timeout")
    told = [f"--{n.replace('_', '-')}" for n in names if getattr(given, n) is not None]
    if told and not given.distributed:
        raise UserError(f"{told[0]} needs --distributed; without it this process trains alone")
    return bool(given.distributed)


def _first(given: int | None, default: int) -> int:
    return default if given is None else given
