"""The table that ends a build."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from vqe_jax.data.build import Built

__all__ = ["print_summary"]


def print_summary(built: Sequence[Built], console: Console | None = None) -> None:
    """Prints what is in each split of what was built, and how to use it.

    Args:
      built: by :func:`vqe_jax.data.build.build`.
      console: to print to; None: standard output.
    """
    console = console or Console()
    table = Table()
    for column in ("data set", "configuration", "split"):
        table.add_column(column)
    for column in ("clips", "frames", "mean PSNR-Y dB", "mean kbit/s"):
        table.add_column(column, justify="right")
    for one in built:
        for split, pairs in one.pairs.items():
            infos = [p.info for p in pairs]
            rates = [i.kbps for i in infos if i.fps]
            table.add_row(
                one.dataset,
                one.config_name,
                split,
                str(len(infos)),
                str(sum(i.frames for i in infos)),
                f"{np.mean([i.psnr_y for i in infos]):.2f}",
                f"{np.mean(rates):.0f}" if rates else "?",
            )
    console.print(table)
    root = built[0].path.parents[2]
    configs = ", ".join(repr(one.config_name) for one in built)
    console.print(
        f"In {root}: data_dir={str(root)!r}, dataset={built[0].dataset!r}, config_name={configs}",
        soft_wrap=True,
        highlight=False,
    )
