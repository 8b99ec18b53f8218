"""Sweeps of inputs made wrong: ``python -m tests.faults.fuzz --files 50 --models 50 --seed 1``.

Prints how many were tried, refused in a line, passed (rightly), and failed; the aim is that none
fails. The exit code is 1 where one did.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence

from tests.faults.counts import Counts

__all__ = ["main"]

# Each has run(count, seed) -> Counts; imported only when asked for.
_SWEEPS = {
    "files": "tests.faults.fuzz_files",
    "models": "tests.faults.fuzz_models",
    "checkpoints": "tests.faults.fuzz_checkpoints",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the sweeps asked for and prints a table; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description=__doc__)
    for name in _SWEEPS:
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N", help=f"wrong {name}")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    results: dict[str, tuple[Counts, float]] = {}
    for name, module in _SWEEPS.items():
        if count := getattr(args, name):
            start = time.monotonic()
            counts = importlib.import_module(module).run(count, args.seed)
            results[name] = (counts, time.monotonic() - start)
    print(f"{'':12}{'tried':>8}{'refused':>9}{'passed':>8}{'failed':>8}{'seconds':>9}")
    for name, (counts, seconds) in results.items():
        numbers = f"{counts.tried:8}{counts.refused:9}{counts.passed:8}{counts.failed:8}"
        print(f"{name:12}{numbers}{seconds:9.1f}")
    for name, (counts, _) in results.items():
        if counts.shorter:
            print(f"{name}: {counts.shorter} of those passed were cut between pictures")
        for example in counts.examples[:20]:
            print(f"{name}: {example}")
    return int(any(counts.failed for counts, _ in results.values()))


if __name__ == "__main__":
    sys.exit(main())
