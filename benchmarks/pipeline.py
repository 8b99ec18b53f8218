"""Input pipeline beside training: does it feed the step?

    python benchmarks/pipeline.py [--config configs/vig.py:demo] [--seconds 4]

Prints how many crops and batches a second the pipeline makes, in its own thread and without one,
for the settings of the config and for two larger ones, and how many steps a second training takes
on one batch over and over and on batches from the pipeline. Without ``--data-dir`` a small ``demo``
data set is built first. Run it on an idle machine.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vqe_jax.flags import Parser

ROOT = Path(__file__).parents[1]


def rate(call: Callable[[], Any], seconds: float) -> float:
    """Calls a second, after one that is not counted."""
    call()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        call()
        count += 1
    return count / (time.perf_counter() - start)


def pipeline_rows(config: Any, seconds: float) -> list[tuple[str, ...]]:
    """The pipeline alone: by direct calls on one core, and through grain."""
    from vqe_jax.data.pair import open_pairs
    from vqe_jax.data.pipeline import BatchSource, batches

    larger = {"batch": 32, "skip_short": True}
    cases = [
        ("config", config),
        ("VIG's paper", dataclasses.replace(config, frames=13, crop=128, **larger)),
        ("RGB", dataclasses.replace(config, frames=7, crop=128, color="rgb", **larger)),
    ]
    rows = []
    for name, case in cases:
        pairs = open_pairs(case.data_dir, case.dataset, case.split, case.config_name)
        source, iterator = BatchSource(pairs, case, seed=0), batches(case, seed=0)
        steps = iter(range(1 << 30))
        direct = rate(lambda: source[next(steps)], seconds)  # noqa: B023
        through = rate(lambda: next(iterator), seconds)  # noqa: B023
        shape = f"{case.batch} x {case.frames} x {case.crop} x {case.crop}"
        for how, value in (("one core", direct), (f"grain, {case.threads} thread", through)):
            rows.append((f"{name}: {shape}, {how}", f"{value * case.batch:.0f}", f"{value:.1f}"))
    return rows


def training_rows(plan: Any, config: Any, seconds: float) -> list[tuple[str, ...]]:
    """The last stage's step on one batch, and on batches from the pipeline."""
    import jax

    from vqe_jax.training import kinds, starts, step
    from vqe_jax.training.feed import Feed

    index = len(plan.stages) - 1
    stage = plan.stages[index]
    network = starts.build_network(plan, stage)
    place = step.make_place(plan.devices)
    made = kinds.get(stage.kind)(stage, network, place)
    feed = Feed(config, seed=0, start=0, sharding=place.split)
    box = [made.init_state(starts.fresh_variables(plan, index, network))]
    fixed, _ = feed.take()

    def take(batch: Any) -> None:
        box[0], metrics = made.step_fn(box[0], batch)
        jax.block_until_ready(metrics)

    def fed() -> None:
        batch, _ = feed.take()
        box[0], metrics = made.step_fn(box[0], batch)
        feed.prefetch()
        jax.block_until_ready(metrics)

    rows = []
    for name, call in (("one batch again and again", lambda: take(fixed)), ("fed", fed)):
        value = rate(call, 2 * seconds)
        rows.append((f"training, {name}", f"{value * config.batch:.0f}", f"{value:.2f}"))
    return rows


def demo(folder: str) -> None:
    """A small data set, so that the benchmark runs anywhere."""
    from vqe_jax.data.build import build

    build("demo", folder, clips=6, val_clips=1, length=24)


def main() -> None:
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--config", default=str(ROOT / "configs/vig.py:demo"))
    parser.add_argument("--data-dir", help="of the config's data set; default: a demo, built here")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    given = parser.parse_args()

    from vqe_jax.training import recipes
    from vqe_jax.training.feed import data_config

    plan = recipes.load(given.config)
    with tempfile.TemporaryDirectory() as folder:
        place = {"data_dir": given.data_dir or folder}
        if not given.data_dir:
            demo(folder)
            place |= {"dataset": "demo", "config_name": "qp37"}
        config = data_config(plan.data, {**plan.stages[-1].data, **place}, "config.data")
        rows = pipeline_rows(config, given.seconds) + training_rows(plan, config, given.seconds)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {given.config}")
    print("| what | crops/s | batches or steps/s |\n| --- | --- | --- |")
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
