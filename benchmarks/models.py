"""STDF and RFDA: milliseconds a frame, peak memory, and training steps.

    python -m benchmarks.models [--sizes 480p 720p] [--dtype float32] [--repeats 5] [--train]
    python -m benchmarks.models --memory          # compiles only: any machine will do
    python -m benchmarks.models --windows         # all windows in one call, and one by one

Frames are random. A frame is one call of STDF on its window, or one step of RFDA's stream. Beside
ours stand the official PyTorch networks (eager, float32 with TF32, torchvision's deformable
convolution) as measured on an NVIDIA H200; on another device only our own columns mean something.
Memory is XLA's analysis of the compiled program: temporary buffers, arguments and results.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vqe_jax import models
from vqe_jax.models.shapes import initial_variables

SIZES = {
    "240p": (240, 416),
    "480p": (480, 832),
    "720p": (720, 1280),
    "1080p": (1080, 1920),
    "1600p": (1600, 2560),
}
# Official networks on an H200: ms a frame by size, GiB at 1080p.
OFFICIAL_MS = {
    "stdf": {"480p": 4.8, "720p": 10.3, "1080p": 22.3, "1600p": 43.0},
    "rfda": {"480p": 14.2, "720p": 29.8, "1080p": 63.3, "1600p": 121.0},
}
OFFICIAL_GIB = {"stdf": {"1080p": 5.2}, "rfda": {"1080p": 9.3}}
# Batch, frames, crop of a training step, and what the official code takes: ms, GiB.
TRAINING = {"stdf": (32, 7, 112, 19.0, 2.9), "rfda": (8, 15, 112, 380.0, 20.0)}

_GIB = 2**30


def _network(name: str) -> tuple[models.Network, Any]:
    network = models.build(name)
    return network, jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))


def _frame(network: models.Network) -> Callable[..., Any]:
    """(variables, state, window) -> (state, frame)."""
    if network.context.recurrence == "none":
        return lambda v, state, w: (state, network.apply(v, w, method="inner")[:, 0])
    return lambda v, state, w: network.apply(v, state, w, method="step")


def _compile_frame(name: str, size: str, dtype: str) -> tuple[Any, Any, Any]:
    """The compiled program of a frame amid a stream, with the shapes of its arguments."""
    network, variables = _network(name)
    window = jax.ShapeDtypeStruct((1, 7, *SIZES[size], 1), jnp.dtype(dtype))
    frame = _frame(network)
    state = jax.eval_shape(lambda v, w: frame(v, None, w), variables, window)[0]
    program = jax.jit(frame, donate_argnums=1).lower(variables, state, window).compile()
    return program, (variables, state, window), _gib(program)


def _gib(program: Any) -> float:
    found = program.memory_analysis()
    total = found.temp_size_in_bytes + found.argument_size_in_bytes + found.output_size_in_bytes
    return (total - found.alias_size_in_bytes) / _GIB


def _fill(shapes: Any) -> Any:
    """Small random numbers of the shapes given."""
    leaves, tree = jax.tree.flatten(shapes)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    return jax.tree.unflatten(
        tree,
        [
            (0.1 * jax.random.normal(k, s.shape)).astype(s.dtype)
            for k, s in zip(keys, leaves, strict=True)
        ],
    )


def _median(run: Callable[[], Any], repeats: int) -> float:
    jax.block_until_ready(run())
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        taken.append(1e3 * (time.perf_counter() - start))
    return statistics.median(taken)


def frames(sizes: list[str], dtype: str, repeats: int, *, timed: bool) -> None:
    print("| network | size | ms | GiB | official on an H200: ms | GiB |")
    print("|---|---|---|---|---|---|")
    for name in TRAINING:
        for size in sizes:
            program, shapes, gib = _compile_frame(name, size, dtype)
            ms = "-"
            if timed:
                variables, state, window = _fill(shapes)

                def run(
                    p: Any = program, v: Any = variables, s: Any = state, w: Any = window
                ) -> Any:
                    return p(v, jax.tree.map(jnp.copy, s), w)

                ms = f"{_median(run, repeats):.1f}"
            figures = [OFFICIAL_MS[name].get(size, "-"), OFFICIAL_GIB[name].get(size, "-")]
            print(
                f"| {name} | {size} | {ms} | {gib:.2f} | {figures[0]} | {figures[1]} |", flush=True
            )


def _training_program(name: str) -> tuple[Any, Any]:
    network, variables = _network(name)
    batch, length, crop, _, _ = TRAINING[name]
    params = variables["params"]
    optimizer = optax.adam(1e-4)
    clip = jax.ShapeDtypeStruct((batch, length, crop, crop, 1), jnp.float32)
    method = "inner" if network.context.recurrence == "none" else "__call__"

    def step(params: Any, state: Any, compressed: jax.Array, raw: jax.Array) -> Any:
        def loss(params: Any) -> jax.Array:
            out = network.apply({"params": params}, compressed, method=method, train=True)
            return jnp.mean(jnp.sqrt((out - raw[:, : out.shape[1]]) ** 2 + 1e-6))

        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    state = jax.eval_shape(optimizer.init, params)
    shapes = (params, state, clip, clip)
    return jax.jit(step).lower(*shapes).compile(), shapes


def training(names: list[str], repeats: int, *, timed: bool) -> None:
    print("| network | batch, frames, crop | ms | GiB | official on an H200: ms | GiB |")
    print("|---|---|---|---|---|---|")
    for name in names:
        program, shapes = _training_program(name)
        ms = "-"
        if timed:
            arrays = _fill(shapes)
            ms = f"{_median(lambda p=program, a=arrays: p(*a), repeats):.1f}"
        batch, length, crop, official, gib = TRAINING[name]
        figures = f"{ms} | {_gib(program):.2f} | {official} | {gib}"
        print(f"| {name} | {batch}, {length}, {crop} | {figures} |", flush=True)


def windows(repeats: int, count: int = 8, size: tuple[int, int] = (64, 96)) -> None:
    """STDF-R3 on the windows of a clip: one call of them all against one call a window."""
    network, shapes = _network("stdf")
    variables = _fill(shapes)
    clip = jax.random.uniform(jax.random.key(1), (1, count + 6, *size, 1))
    whole = jax.jit(lambda v, c: network.apply(v, c, method="inner"))

    def one_by_one() -> list[jax.Array]:
        return [whole(variables, clip[:, i : i + 7]) for i in range(count)]

    together = _median(lambda: whole(variables, clip), repeats)
    apart = _median(one_by_one, repeats)
    print(f"{count} windows of {size[0]}x{size[1]}: {together:.1f} ms together, {apart:.1f} apart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["480p", "720p", "1080p"])
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=TRAINING, default=list(TRAINING))
    for flag in ("train", "memory", "windows"):
        parser.add_argument(f"--{flag}", action="store_true")
    args = parser.parse_args()
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}, {args.dtype}\n")
    if args.windows:
        windows(args.repeats)
    elif args.train:
        training(args.networks, args.repeats, timed=not args.memory)
    else:
        frames(args.sizes, args.dtype, args.repeats, timed=not args.memory)


if __name__ == "__main__":
    main()
