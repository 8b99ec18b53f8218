"""The command line of training: ``--config FILE[:variant] --config.key=value --workdir DIR``.

Every mistake is one line. The config file is ``get_config(variant) -> ConfigDict``; in a work
directory that has one already, ``--config`` may be left out.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from vqe_jax.errors import UserError
from vqe_jax.training.overrides import apply_override

__all__ = ["main", "read_config"]

_OVERRIDE = re.compile(r"--?config\.([^=]+)(?:=(.*))?$", re.DOTALL)


def _define() -> flags.FlagValues:
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "FILE[:variant]", flag_values=values)
    strings = {
        "workdir": "where the run is kept, runs/CONFIG_VARIANT if not given; resumed if it exists",
        "coordinator": "HOST:PORT of the first process (None: from the cluster)",
    }
    for name, text in strings.items():
        flags.DEFINE_string(name, None, text, flag_values=values)
    flags.DEFINE_bool("distributed", False, "one of several processes", flag_values=values)
    flags.DEFINE_integer("processes", None, "how many processes", flag_values=values)
    flags.DEFINE_integer("process", None, "number of this one", flag_values=values)
    flags.DEFINE_bool("help", False, "show this", short_name="h", flag_values=values)
    return values


def _parse(argv: Sequence[str]) -> flags.FlagValues:
    values = _define()
    try:
        rest = values(list(argv))
    except UserError:
        raise
    except KeyError as err:
        raise UserError(f"config has no variant or key {err}; its file says which it has") from None
    except (flags.Error, AttributeError, TypeError, ValueError) as err:
        raise UserError(_in_one_line(err)) from None
    if len(rest) > 1:
        raise UserError(f"argument {rest[1]!r} is not understood; options begin with --")
    return values


def _in_one_line(err: Exception) -> str:
    """The mistake itself: ml_collections puts a config file's own traceback around it."""
    text = str(err).strip()
    if "Traceback" not in text:
        return text.split("\n")[0]
    return text.split("\n")[-1].partition(": ")[2]


def _default_workdir(argv: Sequence[str]) -> str | None:
    """``runs/vig_demo`` for ``--config configs/vig.py:demo``."""
    for before, argument in zip(["", *argv], argv, strict=False):
        name, equals, value = argument.partition("=")
        if name in ("--config", "-config") and equals:
            path, _, variant = value.partition(":")
        elif before in ("--config", "-config"):
            path, _, variant = argument.partition(":")
        else:
            continue
        return str(Path("runs") / "_".join(filter(None, (Path(path).stem, variant))))
    return None


def _check_file(argument: str) -> None:
    path = argument.partition("=")[2].partition(":")[0]
    if re.match(r"--?config=", argument) and not Path(path).is_file():
        raise UserError(f"config {path!r} does not exist; name a file, as configs/vig.py")


def read_config(argv: Sequence[str]) -> tuple[ConfigDict | None, flags.FlagValues]:
    """The config with its overrides, and the other flags.

    Args:
      argv: program name and arguments.

    Raises:
      UserError: a flag, file, key or value that cannot be.
    """
    overrides = [(m[1], m[2]) for m in map(_OVERRIDE.match, argv) if m]
    for path, text in overrides:
        if text is None:
            raise UserError(f"--config.{path} needs a value: --config.{path}=VALUE")
    plain = [a for a in argv if not _OVERRIDE.match(a)]
    for argument in plain[1:]:
        _check_file(argument)
    before, sys.argv = sys.argv, plain  # where ml_collections looks for overrides
    try:
        values = _parse(plain)
    finally:
        sys.argv = before
    for path, text in overrides:
        if values.config is None:
            raise UserError(f"--config.{path} needs --config")
        apply_override(values.config, path, text)
    return values.config, values


def main(argv: Sequence[str] | None = None) -> int:
    """Trains as the command line says.

    Args:
      argv: program name and arguments; None: those of the process.

    Returns:
      The exit code: 0, or 128 plus the signal that stopped the run.

    Raises:
      UserError: any mistake.
    """
    config, values = read_config(sys.argv if argv is None else argv)
    if values.help:
        print(__doc__)
        print(values.module_help(sys.modules[__name__]) or values)
        return 0
    workdir = values.workdir or _default_workdir(sys.argv if argv is None else argv)
    if workdir is None:
        raise UserError("--config is missing; name a file, as configs/vig.py, or the --workdir of "
                        "a run to go on with")  # fmt: skip
    stored = Path(workdir) / "config.json"
    if config is None and not stored.is_file():
        raise UserError("--config is missing; name a file, as configs/vig.py, or a --workdir to "
                        "resume")  # fmt: skip
    if values.distributed:
        import jax

        jax.distributed.initialize(values.coordinator, values.processes, values.process)
    from vqe_jax.training.loop import run

    return run(config or json.loads(stored.read_text()), workdir).exit_code
