"""The progress bar of all commands."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = ["plain", "progress_bar"]


def plain(text: str) -> TextColumn:
    """A column of text in which brackets are brackets."""
    return TextColumn(text, markup=False)


def progress_bar(
    console: Console,
    *,
    disable: bool = False,
    before: Sequence[ProgressColumn] = (),
    after: Sequence[ProgressColumn] = (),
) -> Progress:
    """What is done, a bar, how much of how much, and the time that remains.

    Args:
      before: columns before the time.
      after: columns behind it.
    """
    shown = (plain("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(
        *shown, *before, TimeRemainingColumn(), *after, console=console, disable=disable
    )
