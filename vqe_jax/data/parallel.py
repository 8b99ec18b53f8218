"""Work on many clips in processes of their own, with a progress bar and errors by clip."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from rich.console import Console

from vqe_jax.errors import EnvironmentFailure, UserError
from vqe_jax.terminal import plain, progress_bar

__all__ = ["map_clips"]

_SHOWN_FAILURES = 3


def _start_worker() -> None:
    # Ctrl-C reaches the whole group: workers just die, the parent says what happened.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _context() -> Any:
    # fork would copy a parent that may have JAX's threads in it.
    ways = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in ways else "spawn")


def map_clips(
    function: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    *,
    label: str,
    workers: int | None = None,
    quiet: bool = False,
) -> list[Any]:
    """Calls a function for each job; a clip that fails does not stop the others.

    Args:
      function: at module level, so that a process can find it.
      jobs: arguments of each call; ``jobs[i][0].name`` names it.
      workers: processes; None: as many as there are cores; 1: none but this.

    Returns:
      The results in the order of the jobs.

    Raises:
      UserError: calls failed with it; names how many and the first few with their reasons.
    """
    workers = min(workers or os.cpu_count() or 1, len(jobs)) or 1
    console = Console(stderr=True, markup=False)
    progress = progress_bar(console, disable=quiet, after=[plain("{task.fields[clip]}")])
    with progress:
        task = progress.add_task(label, total=len(jobs), clip="")

        def advance(index: int) -> None:
            progress.update(task, advance=1, clip=jobs[index][0].name)

        many = workers > 1
        results, failures = (
            _in_processes(function, jobs, workers, advance)
            if many
            else _here(function, jobs, advance)
        )
    if failures:
        raise _summary(failures, len(jobs))
    return results


def _here(
    function: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    advance: Callable[[int], None],
) -> tuple[list[Any], list[UserError]]:
    results, failures = [], []
    for index, job in enumerate(jobs):
        try:
            results.append(function(*job))
        except EnvironmentFailure:
            raise
        except UserError as err:
            failures.append(err)
        advance(index)
    return results, failures


def _in_processes(
    function: Callable[..., Any],
    jobs: Sequence[tuple[Any, ...]],
    workers: int,
    advance: Callable[[int], None],
) -> tuple[list[Any], list[UserError]]:
    others = set(multiprocessing.active_children())
    pool = concurrent.futures.ProcessPoolExecutor(workers, _context(), _start_worker)
    results: dict[int, Any] = {}
    failures: list[UserError] = []
    try:
        futures = {pool.submit(function, *job): index for index, job in enumerate(jobs)}
        for future in concurrent.futures.as_completed(futures):
            index = futures[future]
            try:
                results[index] = future.result()
            except EnvironmentFailure:
                raise
            except UserError as err:
                failures.append(err)
            advance(index)
    except BaseException as err:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        if isinstance(err, BrokenProcessPool):
            raise EnvironmentFailure(
                "a worker process died (out of memory?); what is built is kept: run again, with "
                "fewer at a time (--workers 1)"
            ) from err
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return [results[i] for i in sorted(results)], failures


def _summary(failures: list[UserError], total: int) -> UserError:
    reasons = "; ".join(str(err) for err in failures[:_SHOWN_FAILURES])
    more = len(failures) - _SHOWN_FAILURES
    if more > 0:
        reasons += f"; and {more} more"
    if total == 1:
        return UserError(reasons)
    return UserError(
        f"{len(failures)} of {total} clips failed: {reasons}; the others are kept: mend or leave "
        "these out and run again"
    )
