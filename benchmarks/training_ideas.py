"""What each idea for getting more out of the same data gives, one at a time.

    python benchmarks/training_ideas.py --data-dir data --workdir runs/ideas

Every row is the same short training of a narrow VIG but for one thing; a network that grows is a
RepNet, beside one that does not. Data sets: ``vqe-data clips --recipe mixed --encodings 10``,
``vqe-data scenes --recipe mixed --encodings 6``, and for refreshed encodings ``vqe-data clips
--recipe mixed --encodings 4 --rounds 3 --frames 32 --name mixed_rounds``. Rows are printed as
they come, as Markdown; a second call goes on where the first was stopped. Short trainings tell
what helps at first, not where it ends.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from vqe_jax.errors import UserError, run_cli
from vqe_jax.flags import Parser
from vqe_jax.losses import Loss
from vqe_jax.losses import register as register_loss
from vqe_jax.recipes import common
from vqe_jax.training import loop

_ROUNDS = {"config_name": "rounds"}
_NARROW = {"width": 8, "down_widths": (16, 32, 32), "state_bound": 4.0}
_LOG_MSE = (("log_mse", 0.1, {"floor": 3e-6}),)
_CHARBONNIER = (common.charbonnier(weight=2.0),)
_TOLD: dict[str, Any] = {"model_kwargs": {"told": True}, "corruption": {"name": "untold"}}


def _stage(steps: int, **changes: Any) -> dict[str, Any]:
    name = changes.pop("name", "only")
    own = {
        "init": (*common.HIGH_PASS, ("^fusion/", "zeros")),
        "rates": common.quiet_end("^fusion/", 0.3),
        "schedule": common.cosine(1e-5, warmup=min(100, steps // 4)),
    }
    return common.fast_stage(name, steps, 2e-3, **{**own, **changes})


def _frames(steps: int, name: str = "only", **changes: Any) -> dict[str, Any]:
    own = {"losses": _LOG_MSE, "rates": common.quiet_end("^last/", 0.3)}
    return common.fast_stage(name, steps, 1e-3, **{**own, **changes})


def _growing(steps: int) -> tuple[dict[str, Any], ...]:
    """One block, two, three; a new one begins near the identity."""
    stages = []
    for blocks in (1, 2, 3):
        new = (f"^conv{blocks - 1}/",)
        grown = {"start": "previous", "fresh": new} if blocks > 1 else {}
        fields = {"model_kwargs": {"blocks": blocks}}
        stages.append(_frames(steps // 3, f"blocks{blocks}", **fields, **grown))
    return tuple(stages)


def _two(steps: int, first: dict[str, Any], second: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Two thirds of the steps by the first settings, under the same learning rate, then others."""
    early = steps * 2 // 3
    return (
        _stage(
            early, name="first", schedule=common.cosine(1e-5, length=steps, warmup=100), **first
        ),
        _stage(
            steps - early,
            name="second",
            start="previous",
            start_averaged=False,
            keep_optimizer=True,
            schedule=common.cosine(1e-5, length=steps, offset=early),
            **second,
        ),
    )


def _by_quality(steps: int) -> tuple[dict[str, Any], ...]:
    return (_stage(steps, losses=(("by_quality", 30.0),)),)


def by_quality(prediction: Any, target: Any, *, side: Any) -> Any:
    """Squared error of clips of known QP weighted as their rate-distortion slope has it."""
    error = jnp.mean(jnp.square(prediction - target), axis=(1, 2, 3, 4))
    qp = jnp.mean(side.frame_qp.astype(jnp.float32), axis=1)
    # An HEVC step of 6 QPs doubles the quantizer and about doubles the squared error.
    weight = jnp.where(qp >= 0, jnp.exp2((34.0 - qp) / 6.0), 1.0)
    return jnp.mean(jnp.clip(weight, 0.25, 4.0) * error)


_FRAMES = {"model": "repnet", "frames": 1, "crop": 64, "batch": 16}
# Idea -> stages, and what of the data it changes.
IDEAS: dict[str, tuple[Any, dict[str, Any]]] = {
    "squared error alone": (lambda n: (_stage(n),), {}),
    "the same with another seed": (lambda n: (_stage(n),), {"seed": 1}),
    "scenes from photographs too": (lambda n: (_stage(n),), {"config_name": "scenes"}),
    "duplicate frames dropped": (lambda n: (_stage(n),), {"drop_duplicates": True}),
    "Charbonnier, then squared error": (
        lambda n: _two(n, {"losses": _CHARBONNIER}, {"losses": (("l2", 30.0),)}),
        {},
    ),
    "log squared error": (lambda n: (_stage(n, losses=_LOG_MSE),), {}),
    "squared error, then its logarithm": (lambda n: _two(n, {}, {"losses": _LOG_MSE}), {}),
    "squared error weighted by quality": (_by_quality, {}),
    "longer clips last": (lambda n: _two(n, {}, {"data": {"frames": 9, "batch": 3}}), {}),
    "4 encodings a clip": (lambda n: (_stage(n),), _ROUNDS),
    "4 encodings, made anew twice": (
        lambda n: (_stage(n),),
        {**_ROUNDS, "rounds": 3, "refresh": 100},
    ),
    "QP and codec told": (lambda n: (_stage(n, **_TOLD),), {}),
    "QP and codec told, log squared error": (lambda n: (_stage(n, losses=_LOG_MSE, **_TOLD),), {}),
    "RepNet of 3 blocks": (lambda n: (_frames(2 * n),), _FRAMES),
    "RepNet that grows from 1 to 3 blocks": (lambda n: _growing(2 * n), _FRAMES),
}


def _run(name: str, args: Any) -> dict[str, Any]:
    """Trains one row, or reads what it gave."""
    stages, changed = IDEAS[name]
    changed = dict(changed)
    seed = changed.pop("seed", 0)
    own = changed.pop("config_name", None)
    model = changed.pop("model", "vig")
    configs = {"scenes": (args.clips, args.scenes), "rounds": (args.rounds,)}.get(
        own, (args.clips,)
    )
    data = {"data_dir": args.data_dir, "frames": 3, "crop": 48, "batch": 8, **changed}
    judged = {"every": 0, "config_name": args.validation, "frames": 6}
    config = common.narrow(
        model,
        _NARROW if model == "vig" else {"features": 32, "blocks": 3},
        *stages(args.steps),
        data={**data, "config_name": configs},
        eval=judged,
        checkpoint={"every": args.steps, "keep": 1},
        seed=seed,
    )
    folder = Path(args.workdir) / name.replace(" ", "_").replace(",", "")
    if not loop.run(config, folder, quiet=True).finished:
        raise UserError(f"{name}: stopped; the same command goes on from its last checkpoint")
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["kind"] == "validation"]
    return rows[-1]["by_clip"]


def main(argv: list[str] | None = None) -> None:
    """Prints a row for each idea."""
    parser = Parser(prog="training_ideas.py", description=__doc__)
    parser.add_argument("--data-dir", default="data")
    parser.add_argument("--clips", default="mixed", help="configuration of `clips`")
    parser.add_argument("--scenes", default="scenes/mixed")
    parser.add_argument("--rounds", default="mixed_rounds")
    parser.add_argument("--validation", default="mixed")
    parser.add_argument("--workdir", default="runs/ideas")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--only", nargs="+", choices=list(IDEAS), default=list(IDEAS))
    args = parser.parse_args(argv)
    register_loss("by_quality", Loss(by_quality, takes=("side",)))
    print("| idea | mean, dB | without clean clips | worst | worst clip |\n|---|---|---|---|---|")
    for name in args.only:
        gains = _run(name, args)
        coded = [gain for clip, gain in gains.items() if "clean" not in clip]
        worst = min((c for c in gains if "clean" not in c), key=lambda c: gains[c])
        mean = float(np.mean(list(gains.values())))
        print(
            f"| {name} | {mean:+.4f} | {np.mean(coded):+.4f} | {gains[worst]:+.4f} | {worst} |",
            flush=True,
        )


if __name__ == "__main__":
    run_cli(main)
