"""ASTF's second stage: the first stage computed in the step, or read from disk as ``cached`` does.

    python -m benchmarks.astf_second_stage [--features 16] [--blocks 3] [--repeats 7]

Both steps train EnhanceNet2 on the same random crops (Charbonnier loss, Adam; LPIPS costs the same
in both and is left out) and take turns; the figures are medians. Memory is XLA's analysis of the
compiled step: temporary buffers, arguments and results. Reading crops from disk is not in it; how
many the pipeline delivers a second is what benchmarks/pipeline.py prints.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import optax

from benchmarks.races import needed_bytes, race
from vqe_jax import losses, models
from vqe_jax.models.shapes import initial_variables

_MIB = 2**20
_WAYS = {"in the step": "compressed", "cached": "stage1"}


def _network(args: argparse.Namespace, trains_on: str) -> models.Network:
    return models.build(
        "astf",
        features=args.features,
        blocks=args.blocks,
        flow_levels=4,
        flow_widths=(8, 16, 8),
        output="enhance2",
        trains_on=trains_on,
        remat=False,
    )


def _step(network: models.Network, optimizer: Any) -> Callable[..., Any]:
    charbonnier = losses.build("charbonnier")

    def step(trained: Any, others: Any, state: Any, compressed: Any, raw: Any) -> Any:
        def loss(trained: Any) -> jax.Array:
            params = {"params": {**others, "enhance2": trained}}
            return charbonnier(network.apply(params, compressed, train=True), raw)

        value, gradient = jax.value_and_grad(loss)(trained)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(trained, updates), state, value

    return step


def _program(args: argparse.Namespace, trains_on: str) -> tuple[Callable[[], Any], float]:
    network, optimizer = _network(args, trains_on), optax.adam(2e-4)
    params = dict(initial_variables(network, jax.random.key(0))["params"])
    trained = params.pop("enhance2")
    shape = (args.batch, args.frames, args.crop, args.crop, 3)
    compressed, raw = jax.random.uniform(jax.random.key(1), (2, *shape))
    arrays = (trained, params, optimizer.init(trained), compressed, raw)
    program = jax.jit(_step(network, optimizer)).lower(*arrays).compile()
    return lambda: jax.block_until_ready(program(*arrays)), needed_bytes(program) / _MIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("features", 16), ("blocks", 3), ("batch", 2), ("frames", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    programs = {way: _program(args, trains_on) for way, trains_on in _WAYS.items()}
    found = race({way: run for way, (run, _) in programs.items()}, args.repeats)
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}\n")
    print("| first stage | ms a step | ratio | MiB |\n|---|---|---|---|")
    for way, (_, needed) in programs.items():
        ratio = found[way].wall / found["in the step"].wall
        print(f"| {way} | {found[way].wall:.0f} | {ratio:.2f} | {needed:.0f} |")


if __name__ == "__main__":
    main()
