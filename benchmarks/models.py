"""Every registered network beside PyTorch: milliseconds a frame and a training step.

    python -m benchmarks.models                             # all, in their published sizes
    python -m benchmarks.models --networks stdf vig --size 416x240 --frames 7
    python -m benchmarks.models --no-train --no-compile     # frames only, PyTorch eager only

A clip of random frames goes through the network's whole-clip form; the time of a frame is that of
the clip divided by its frames, so that what a network does once a clip is shared. A training step
is the squared error of all frames, its gradient and Adam's update, on one clip of the same frames
and size; networks of more than --train-below parameters have none. Where PyTorch is installed it
takes part with the same weights (benchmarks/torch_forms), eager and by ``torch.compile`` (frames
only; it needs a C++ compiler, and is given up after --compile-limit seconds), after a check that
both give the same frames. The sides take turns in one process, and times are medians over
--repeats after a first run; a ratio below one says that ours is faster. Beside it stands the ratio
of the processor's time, which other work on the machine touches less. A row is printed as soon as
it is measured, and a network that fails has a row that says why. What ours took to compile is of
both programs together.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib.util
import math
import os
import signal
import statistics
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# Whoever waits must leave the cores to the other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# In this process, so that it can be given up.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import jax
import jax.numpy as jnp
import numpy as np
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


class Times(NamedTuple):
    """Medians of one side, milliseconds."""

    wall: float
    processor: float


def _race(contenders: dict[str, Callable[[], Any]], repeats: int) -> dict[str, Times]:
    """They take turns."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for run in contenders.values():
        run()
    for _ in range(repeats):
        for name, run in contenders.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            taken[name].append((time.perf_counter() - wall, time.process_time() - processor))
    return {
        name: Times(*(1e3 * statistics.median(axis) for axis in zip(*pairs, strict=True)))
        for name, pairs in taken.items()
    }


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


def _drawn(path: Any, shape: Any) -> np.ndarray:
    """A parameter in which nothing is zero, so that every part shows in the check."""
    name = path[-1].key
    draw = np.random.default_rng(zlib.crc32(jax.tree_util.keystr(path).encode()))
    noise = draw.standard_normal(shape.shape).astype(np.float32)
    if name == "kernel":
        return noise * np.float32(0.7 / math.sqrt(math.prod(shape.shape[:-1]) or 1))
    return 0.01 * noise + {"bias": 0, "mean": 0, "point": 0, "slope": 0.25}.get(name, 1)


def _variables(network: models.Network) -> Any:
    """Random variables, without compiling what would draw them."""
    shapes = jax.eval_shape(lambda key: initial_variables(network, key), _KEY)
    kept = {k: v for k, v in shapes.items() if k in ("params", "batch_stats", "frozen")}
    return jax.tree_util.tree_map_with_path(_drawn, jax.tree.map(lambda x: x, kept))


class Torch:
    """The same network in PyTorch, on the CPU."""

    def __init__(self, name: str, network: models.Network, variables: Any, clip: jax.Array) -> None:
        import torch

        from benchmarks.torch_forms import torch_network

        self.torch = torch
        length = clip.shape[1]
        self.module = torch_network(name, network, variables, _side(length), length)
        self.clip = torch.from_numpy(np.array(clip).transpose(0, 1, 4, 2, 3).copy())

    def check(self, ours: Any) -> None:
        """Refuses a network that gives other frames than ours."""
        with self.torch.no_grad():
            theirs = self.module.eval()(self.clip).numpy().transpose(0, 1, 3, 4, 2)
        clip = self.clip.numpy().transpose(0, 1, 3, 4, 2)
        scale = min(np.abs(ours - clip).max(), np.ptp(ours))
        # Where a pixel of the first stage was rounded to the other side its surroundings differ.
        share = 0.999 if getattr(self.module, "rounds", False) else 1.0
        apart = np.quantile(np.abs(theirs - ours), share) / scale
        if apart < 1e-3:
            return
        # Large features before a sigmoid make rounding show: ours may round as theirs do.
        exact = self._in_float64()
        errors = [np.quantile(np.abs(x - exact), share) / scale for x in (ours, theirs)]
        if not errors[0] < max(1e-3, 2 * errors[1]):
            raise ValueError(
                f"PyTorch's frames are {apart:.1e} of the residual apart from ours; from float64 "
                f"ours are {errors[0]:.1e}, PyTorch's {errors[1]:.1e}"
            )

    def _in_float64(self) -> np.ndarray:
        exact = copy.deepcopy(self.module).double().eval()
        with self.torch.no_grad():
            return exact(self.clip.double()).numpy().transpose(0, 1, 3, 4, 2)

    def frames(self, compiled: bool) -> Callable[[], Any]:
        """Enhances the clip."""
        run = self.torch.compile(self.module, dynamic=False) if compiled else self.module

        def enhance() -> None:
            with self.torch.no_grad():
                run(self.clip)

        self.module.eval()
        return enhance

    def step(self) -> Callable[[], Any]:
        """A training step, eager."""
        optimizer = self.torch.optim.Adam(self.module.parameters(), 1e-4)

        def step() -> None:
            self.module.train()
            optimizer.zero_grad(set_to_none=True)
            self.module(self.clip).square().mean().backward()
            optimizer.step()

        return step


def _torch_side(name: str, network: models.Network, variables: Any, clip: jax.Array) -> Any:
    if importlib.util.find_spec("torch") is None:
        return None
    from benchmarks.torch_forms import NAMES

    return Torch(name, network, variables, clip) if name in NAMES else None


class _TooLong(BaseException):
    """Not an Exception, which compilers catch."""


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raises ``_TooLong`` after so long."""

    def stop(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _cell(times: dict[str, Times], name: str) -> str:
    return f"{times[name].wall:.1f}" if name in times else "-"


def _ratio(times: dict[str, Times], name: str) -> str:
    """Ours to another's, by wall and by processor."""
    if name not in times:
        return "-"
    ours, other = times["ours"], times[name]
    return f"{ours.wall / other.wall:.2f} ({ours.processor / other.processor:.2f})"


class Options(NamedTuple):
    """How much is measured."""

    repeats: int
    train_below: float  # parameters; larger networks have no training step
    compile_limit: float  # seconds that torch.compile may take; 0: it takes no part


def _frame_cells(
    sides: dict[str, Callable[[], Any]], other: Torch | None, frames: int, options: Options
) -> list[str]:
    """Ours, eager, compiled, and ours to each of them."""
    note = "-"
    if other is not None and options.compile_limit:
        compiled = other.frames(True)
        try:
            with _limited(options.compile_limit):
                compiled()
            sides = {**sides, "compiled": compiled}
        except _TooLong:
            note = f"compile > {options.compile_limit:.0f} s"
        except Exception as err:
            note = type(err).__name__
    found = _race(sides, options.repeats)
    times = {n: Times(*(x / frames for x in t)) for n, t in found.items()}
    cells = [_cell(times, n) for n in ("ours", "eager", "compiled")]
    cells[2] = cells[2] if "compiled" in times else note
    return [*cells, _ratio(times, "eager"), _ratio(times, "compiled")]


def row(name: str, clip_shape: tuple[int, int, int], options: Options) -> str:
    """Measures one network.

    Args:
      name: of the registry.
      clip_shape: frames, height, width.

    Returns:
      A line of the table.
    """
    network, (frames, height, width) = models.build(name), clip_shape
    side = _side(frames)
    variables = jax.device_put(_variables(network))
    params = variables["params"]
    rest = {k: v for k, v in variables.items() if k != "params"}
    count = sum(x.size for x in jax.tree.leaves(params))
    clip = jax.random.uniform(_KEY, (1, frames, height, width, network.channels))
    program, seconds = _compiled(_enhance(network, side), variables, clip)
    other = _torch_side(name, network, variables, clip)
    sides = {"ours": lambda: jax.block_until_ready(program(variables, clip))}
    if other is not None:
        other.check(np.asarray(program(variables, clip)))
        sides["eager"] = other.frames(False)
    cells = _frame_cells(sides, other, frames, options)
    steps = ["-"] * 3
    if count < options.train_below:
        scale = network.context.scale
        raw = jnp.zeros((1, frames, scale * height, scale * width, network.channels))
        inputs = (params, rest, optax.adam(1e-4).init(params), clip, raw)
        stepping, more = _compiled(_step(network, side), *inputs)
        seconds += more
        sides = {"ours": lambda: jax.block_until_ready(stepping(*inputs))}
        if other is not None:
            sides["eager"] = other.step()
        times = _race(sides, options.repeats)
        steps = [_cell(times, "ours"), _cell(times, "eager"), _ratio(times, "eager")]
    return "| " + " | ".join((name, f"{count:,}", *cells, *steps, f"{seconds:.1f}")) + " |"


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
    parser.add_argument("--train-below", type=float, default=15e6, help="parameters")
    parser.add_argument("--no-compile", action="store_true", help="no torch.compile")
    parser.add_argument("--compile-limit", type=float, default=300, help="seconds")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    options = Options(
        args.repeats,
        0 if args.no_train else args.train_below,
        0 if args.no_compile else args.compile_limit,
    )
    device = jax.devices()[0]
    print(f"{device.platform}: {device.device_kind}, {os.cpu_count()} cores, jax {jax.__version__};"
          f" {args.frames} frames of {args.size}\n")  # fmt: skip
    print("| network | parameters | ms a frame: ours | PyTorch eager | compiled | ours / eager"
          " (processor) | ours / compiled | ms a step: ours | PyTorch eager | ours / eager"
          " (processor) | s to compile |")  # fmt: skip
    print("|---" * 11 + "|", flush=True)
    for name in args.networks:
        try:
            text = row(name, (args.frames, height, width), options)
        except Exception as err:  # one network's trouble leaves the other rows
            text = f"| {name} | {type(err).__name__}: {str(err).splitlines()[0]} |" + " |" * 9
        print(text, flush=True)


if __name__ == "__main__":
    main()
