"""Every registered network beside PyTorch: milliseconds a frame and a training step.

    python -m benchmarks.models                             # all, in their published sizes
    python -m benchmarks.models --networks stdf vig --size 416x240 --repeats 0
    python -m benchmarks.models --parts frame --compile-limit 0     # PyTorch eager only
    python -m benchmarks.models --records benchmarks/models.jsonl   # goes on where it was stopped
    python -m benchmarks.models --table                     # all records as README.md's tables

A clip of random frames goes through the network's whole-clip form; the time of a frame is that of
the clip divided by its frames, so that what a network does once a clip is shared. A training step
is the squared error of all frames, its gradient and Adam's update, on one clip. Where PyTorch is
installed it takes part with the same weights (benchmarks/torch_forms), eager and by
``torch.compile`` (frames only; it needs a C++ compiler, and is given up after --compile-limit
seconds), after a check that both give the same frames. The sides take turns in one process, and
times are medians over --repeats after a first run (with none the first run counts); a ratio below
one says that ours is faster. What needs more memory than --memory is not run, and its row says so.
Beside it stands the ratio of the processor's time, which other work on the machine touches less. A
row is printed as soon as it is measured, with the seconds that ours took to compile; a network that
fails has a row that says why.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import copy
import datetime
import importlib.util
import json
import math
import os
import signal
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# Whoever waits must leave the cores to the other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Threads of this process that wait for the C++ compiler, so that it can be given up.
os.environ.setdefault("TORCHINDUCTOR_WORKER_START", "fork")
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(os.cpu_count()))

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.model_records import HEADER, Race, append, read, rewrite, row
from benchmarks.races import Times, needed_bytes, race
from vqe_jax import models
from vqe_jax.models import Side
from vqe_jax.models.shapes import initial_variables

FOLDER = Path(__file__).parent
_PARTS = ("frame", "step")
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


class _Program(NamedTuple):
    """What was compiled, what goes in, how many seconds it took, and the memory it needs."""

    run: Callable[..., Any]
    inputs: tuple[Any, ...]
    seconds: float
    gib: float


def _compiled(function: Callable[..., Any], *inputs: Any) -> _Program:
    begun = time.monotonic()
    run = jax.jit(function).lower(*inputs).compile()
    seconds = time.monotonic() - begun
    return _Program(run, inputs, seconds, needed_bytes(run) / 2**30)


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


def _stop_compiling() -> None:
    """Waits for the files that the C++ compiler has begun, and drops the others."""
    from torch._inductor.async_compile import AsyncCompile

    AsyncCompile.pool().shutdown(cancel_futures=True)
    AsyncCompile.pool.cache_clear()


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


class Options(NamedTuple):
    """How much is measured."""

    frames: int
    width: int
    height: int
    repeats: int
    memory: float  # GiB that a program may need
    compile_limit: float  # seconds that torch.compile may take; 0: it takes no part
    fields: dict[str, Any]  # other than the published network's


class _Sides:
    """One network on one clip, ours and PyTorch's."""

    def __init__(self, name: str, options: Options, parts: Iterable[str]) -> None:
        """Begins to compile ours in another thread, beside ``torch.compile``."""
        self.name, self.options = name, options
        self.network = models.build(name, **options.fields)
        self.side = _side(options.frames)
        self.variables = jax.device_put(_variables(self.network))
        size = (options.height, options.width, self.network.channels)
        self.clip = jax.random.uniform(_KEY, (1, options.frames, *size))
        makers = {"frame": self._enhancing, "step": self._stepping}
        thread = concurrent.futures.ThreadPoolExecutor(1)
        self._programs = {part: thread.submit(makers[part]) for part in parts}
        self.other = _torch_side(name, self.network, self.variables, self.clip)

    def race(self, part: str) -> Race:
        """Measures a frame, or a training step."""
        options = self.options
        program = self._programs[part].result()
        times: dict[str, Times | str | None] = {"ours": f"needs {program.gib:.0f} GiB"}
        if program.gib <= options.memory:
            times = self._times(part)
        return Race(
            self.name,
            part,
            f"{options.frames} x {options.width}x{options.height}",
            sum(x.size for x in jax.tree.leaves(self.variables["params"])),
            datetime.date.today().isoformat(),
            fields=options.fields or None,
            compile_s=round(program.seconds, 1),
            **times,
        )

    def _times(self, part: str) -> dict[str, Times | str | None]:
        """Of each side, milliseconds of a frame or of a step."""
        sides = self._frame() if part == "frame" else self._step()
        note = self._add_compiled(sides) if part == "frame" else None
        concurrent.futures.wait(self._programs.values())  # nothing compiles beside the race
        share = self.options.frames if part == "frame" else 1
        found = race(sides, self.options.repeats)
        times = {n: Times(*(round(x / share, 3) for x in t)) for n, t in found.items()}
        return {"compiled": note, **times}

    def _frame(self) -> dict[str, Callable[[], Any]]:
        sides = self._ours("frame")
        if self.other is not None:
            program = self._programs["frame"].result()
            self.other.check(np.asarray(program.run(*program.inputs)))
            sides["eager"] = self.other.frames(False)
        return sides

    def _add_compiled(self, sides: dict[str, Callable[[], Any]]) -> str | None:
        """Adds ``torch.compile``'s side; else says why not."""
        limit = self.options.compile_limit
        if self.other is None or not limit:
            return None
        compiled = self.other.frames(True)
        try:
            with _limited(limit):
                compiled()
        except _TooLong:
            _stop_compiling()
            return f"> {limit:.0f} s to compile"
        except Exception as err:
            return type(err).__name__
        sides["compiled"] = compiled
        return None

    def _step(self) -> dict[str, Callable[[], Any]]:
        sides = self._ours("step")
        if self.other is not None:
            sides["eager"] = self.other.step()
        return sides

    def _ours(self, part: str) -> dict[str, Callable[[], Any]]:
        program = self._programs[part].result()
        return {"ours": lambda: jax.block_until_ready(program.run(*program.inputs))}

    def _enhancing(self) -> _Program:
        return _compiled(_enhance(self.network, self.side), self.variables, self.clip)

    def _stepping(self) -> _Program:
        params = self.variables["params"]
        rest = {k: v for k, v in self.variables.items() if k != "params"}
        scale = self.network.context.scale
        _, frames, height, width, channels = self.clip.shape
        raw = jnp.zeros((1, frames, scale * height, scale * width, channels))
        start = optax.adam(1e-4).init(params)
        return _compiled(_step(self.network, self.side), params, rest, start, self.clip, raw)


def _lacks(race: Race | None, part: str, options: Options) -> bool:
    """Whether it is to be measured, or measured again with ``torch.compile`` now."""
    if race is None:
        return True
    wanted = part == "frame" and race.eager and options.compile_limit > 0
    return bool(wanted and not race.compiled)


def measure(name: str, options: Options, parts: Iterable[str], records: Path | None) -> str:
    """Measures one network, but for what the file of records holds already.

    Args:
      name: of the registry.
      options: how much is measured.
      parts: of "frame" and "step".
      records: where each race is noted when it is over.

    Returns:
      A line of the table.
    """
    known = read(records) if records else {}
    missing = [part for part in parts if _lacks(known.get((name, part)), part, options)]
    sides = _Sides(name, options, missing) if missing else None
    for part in missing:
        assert sides is not None
        known[name, part] = sides.race(part)
        if records:
            append(records, known[name, part])
    return row(known.get((name, "frame")), known.get((name, "step")))


def _memory() -> float:
    """Four fifths of the machine's, GiB."""
    return 0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", choices=models.names(), default=models.names())
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--size", default="64x64", help="WIDTHxHEIGHT (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--memory", type=float, default=_memory(), help="GiB (default: four fifths)"
    )
    parser.add_argument("--fields", type=json.loads, default={}, help="JSON: a narrower network's")
    parser.add_argument("--compile-limit", type=float, default=300, help="seconds; 0: no compile")
    parser.add_argument("--records", type=Path, help="JSON lines: noted there, and not done again")
    parser.add_argument("--table", action="store_true", help="only make README.md's tables anew")
    return parser


def main() -> None:
    """Prints a row a network."""
    args = _parser().parse_args()
    if args.table:
        page = FOLDER / "README.md"
        page.write_text(rewrite(page.read_text("utf-8"), FOLDER), "utf-8")
        return
    width, height = (int(side) for side in args.size.split("x"))
    options = Options(
        args.frames, width, height, args.repeats, args.memory, args.compile_limit, args.fields
    )
    print(HEADER, flush=True)
    for name in args.networks:
        try:
            text = measure(name, options, args.parts, args.records)
        except Exception as err:  # one network's trouble leaves the other rows
            text = f"| {name} | {type(err).__name__}: {str(err).splitlines()[0]} |" + " |" * 12
        print(text, flush=True)


if __name__ == "__main__":
    main()
