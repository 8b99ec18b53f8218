"""Every registered network: milliseconds a frame, a training step, compilation, parameters.

    python -m benchmarks.models                             # all, in their published sizes
    python -m benchmarks.models --networks stdf vig --size 416x240 --frames 7
    python -m benchmarks.models --no-train                  # frames only

A clip of random frames goes through the network's whole-clip form; the time of a frame is that of
the clip divided by its frames, so that what a network does once a clip is shared. A training step
is the squared error of all frames, its gradient and Adam's update, on one clip of the same frames
and size. Compilation is of both together. Times are medians over --repeats after a first run. A row
is printed as soon as it is measured, and a network that fails has a row that says why.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import optax

from vqe_jax import models
from vqe_jax.models import Side
from vqe_jax.models.shapes import initial_variables

_KEY = jax.random.key(0)


def _side(frames: int) -> Side:
    """All that a network may ask for: every fourth frame is a peak, the first is intra."""
    numbers = jnp.arange(frames)
    return Side(
        qp=jnp.full((1,), 37, jnp.int32),
        frame_qp=jnp.where(numbers % 4 == 0, 36, 42).astype(jnp.float32)[None],
        frame_type=jnp.where(numbers == 0, 0, 1).astype(jnp.int32)[None],
        peak=(numbers % 4 == 0)[None],
    )


def _compiled(function: Callable[..., Any], *inputs: Any) -> tuple[Callable[..., Any], float]:
    """The program, and the seconds that making it took."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*inputs).compile()
    return program, time.perf_counter() - start


def _median_ms(program: Callable[..., Any], inputs: tuple[Any, ...], repeats: int) -> float:
    jax.block_until_ready(program(*inputs))
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(program(*inputs))
        taken.append(1e3 * (time.perf_counter() - start))
    return statistics.median(taken)


def _enhance(network: models.Network, side: Side) -> Callable[..., Any]:
    return lambda variables, clip: network.apply(variables, clip, side=side)


def _step(network: models.Network, side: Side) -> Callable[..., Any]:
    """(params, what else the network holds, state of Adam, clip, truth) -> the new ones."""

    def step(params: Any, rest: Any, state: Any, clip: jax.Array, raw: jax.Array) -> Any:
        def loss(params: Any) -> tuple[jax.Array, Any]:
            found, held = network.apply(
                {"params": params, **rest}, clip, side=side, train=True, mutable=list(rest)
            )
            return jnp.mean(jnp.square(found - raw)), held

        (_, held), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, state = optax.adam(1e-4).update(gradient, state)
        return optax.apply_updates(params, updates), held, state

    return step


def row(name: str, size: tuple[int, int], frames: int, repeats: int, train: bool) -> str:
    """Measures one network.

    Args:
      name: of the registry.
      size: width and height, pixels.
      frames: of the clip.
      repeats: timed runs.
      train: measure a training step too.

    Returns:
      A line of the table.
    """
    network, side = models.build(name), _side(frames)
    variables = dict(jax.jit(lambda key: initial_variables(network, key))(_KEY))
    params = variables["params"]
    rest = {k: v for k, v in variables.items() if k != "params"}
    count = sum(x.size for x in jax.tree.leaves(params))
    clip = jax.random.uniform(_KEY, (1, frames, size[1], size[0], network.channels))
    program, seconds = _compiled(_enhance(network, side), variables, clip)
    frame = _median_ms(program, (variables, clip), repeats) / frames
    step: float | None = None
    if train:
        scale = network.context.scale
        raw = jnp.zeros((1, frames, scale * size[1], scale * size[0], network.channels))
        inputs = (params, rest, optax.adam(1e-4).init(params), clip, raw)
        program, more = _compiled(_step(network, side), *inputs)
        step, seconds = _median_ms(program, inputs, repeats), seconds + more
    cells = (
        name,
        network.color,
        f"{count:,}",
        f"{frame:.1f}",
        "-" if step is None else f"{step:.0f}",
        f"{seconds:.1f}",
    )
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Prints a row a network."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=models.names(), default=models.names())
    parser.add_argument("--size", default="64x64", help="WIDTHxHEIGHT (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-train", action="store_true", help="no training steps")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    device = jax.devices()[0]
    print(
        f"{device.platform}: {device.device_kind}, {os.cpu_count()} cores, jax {jax.__version__};"
        f" {args.frames} frames of {args.size}\n"
    )
    print("| network | color | parameters | ms a frame | ms a training step | s to compile |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in args.networks:
        try:
            text = row(name, (width, height), args.frames, args.repeats, not args.no_train)
        except Exception as err:  # one network's trouble leaves the other rows
            text = f"| {name} | {type(err).__name__}: {str(err).splitlines()[0]} | | | | |"
        print(text, flush=True)


if __name__ == "__main__":
    main()
