"""A training step of VIG: milliseconds and peak memory, beside the same network in PyTorch.

  python benchmarks/train_step.py                       # small, for a CPU
  python benchmarks/train_step.py --batch 32 --frames 13 --crop 128     # the paper's, for a GPU

Each contender lives in a process of its own and they take turns, step by step, so that whatever
else the machine does meets them alike; the table has medians. All of them do the same: the
forward pass over the clip, Charbonnier loss, gradients, Adam. The first line checks that they
compute the same result from the same parameters.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vqe_jax.flags import Parser

sys.path.insert(0, str(Path(__file__).parents[1]))  # the figure's form lives with the tests

FORMS = {"direct": "tests.models.vig_direct:DirectVIG", "factored": "vig"}
CONTENDERS = ("jax factored", "jax direct", "torch eager", "torch compile")


def batch(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """A compressed and a raw clip ``[b, t, h, w, 1]``."""
    rng = np.random.default_rng(0)
    shape = (options.batch, options.frames, options.crop, options.crop, 1)
    raw = rng.random(shape, np.float32)
    return np.clip(raw + rng.normal(0, 0.02, shape).astype(np.float32), 0, 1), raw


def kwargs(options: argparse.Namespace) -> dict[str, Any]:
    return {"width": options.width, "down_widths": tuple(options.down_widths)}


def parameters(options: argparse.Namespace) -> Any:
    """The same in every process: drawn by numpy."""
    import jax

    from vqe_jax import models
    from vqe_jax.models.shapes import initial_variables

    network = models.build("vig", **kwargs(options))
    shapes = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))["params"]
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda s: rng.normal(0, 0.03, s.shape).astype(np.float32), shapes)


def jax_step(options: argparse.Namespace, form: str) -> tuple[Callable[[], float], Callable]:
    """The project's own step, as the loop runs it."""
    import jax

    from vqe_jax import models
    from vqe_jax.training.plain import make_step
    from vqe_jax.training.stages import Stage
    from vqe_jax.training.step import make_place

    stage = Stage("benchmark", 1000, learning_rate=1e-4)
    network = models.build(FORMS[form], **kwargs(options))
    step = make_step(stage, network, make_place(1))
    state = step.init_state({"params": jax.tree.map(jax.numpy.asarray, parameters(options))})
    compressed, raw = (jax.device_put(x) for x in batch(options))
    held = [state]

    def run() -> float:
        held[0], metrics = step.step_fn(held[0], {"compressed": compressed, "raw": raw})
        return float(metrics["loss"])

    def memory() -> int:
        used = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
        return used or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    return run, memory


def torch_step(options: argparse.Namespace, compiled: bool) -> tuple[Callable[[], float], Callable]:
    import torch

    from benchmarks.torch_forms.vig import TorchVIG

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    network = TorchVIG(**kwargs(options))
    network.load(parameters(options))
    network = network.to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)
    clips = (torch.from_numpy(x).permute(0, 1, 4, 2, 3).contiguous() for x in batch(options))
    compressed, raw = (x.to(device) for x in clips)

    def loss_of(clip: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.sqrt((network(clip) - target) ** 2 + 1e-6).mean()

    if compiled:
        loss_of = torch.compile(loss_of)

    def run() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(compressed, raw)
        loss.backward()
        optimizer.step()
        return loss.item()

    def memory() -> int:
        if device == "cuda":
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    return run, memory


def work(options: argparse.Namespace) -> None:
    """One contender: answers each line of its input with a line of JSON."""
    library, form = options.worker.split()
    if library == "jax":
        run, memory = jax_step(options, form)
    else:
        run, memory = torch_step(options, form == "compile")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for line in sys.stdin:
        began = time.perf_counter()
        loss = run() if line.strip() == "step" else 0.0
        seconds = time.perf_counter() - began
        answer = {"seconds": seconds, "loss": loss, "peak": memory(), "before": before}
        print(json.dumps(answer), flush=True)


class Contender:
    """A process that takes steps when asked."""

    def __init__(self, name: str) -> None:
        environment = os.environ | {
            "OMP_WAIT_POLICY": "PASSIVE",  # those who wait must not burn the others' cores
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "PYTHONPATH": os.getcwd(),
        }
        command = [sys.executable, __file__, *sys.argv[1:], "--worker", name]
        self.name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, line: str = "step") -> dict[str, float]:
        """One step, or with another word the figures alone."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} failed; see above")
        return json.loads(answer)

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--down-widths", type=int, nargs=3, default=(40, 48, 48))
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--worker", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    contenders = [Contender(name) for name in options.only]
    first = [c.ask() for c in contenders]  # compiles
    print(
        "first loss: "
        + ", ".join(f"{c.name} {a['loss']:.6f}" for c, a in zip(contenders, first, strict=True))
    )
    for c in contenders:
        c.ask()
    times: dict[str, list[float]] = {c.name: [] for c in contenders}
    for _ in range(options.steps):
        for c in contenders:
            times[c.name].append(c.ask()["seconds"] * 1e3)
    size = f"batch {options.batch}, {options.frames} frames, crop {options.crop}"
    print(f"\nVIG {size}; {platform.processor() or platform.machine()}, {os.cpu_count()} cores\n")
    print("| contender | ms a step (median) | fastest | first step, s | peak memory, MiB |")
    print("|---|---|---|---|---|")
    for c, compile_time in zip(contenders, first, strict=True):
        last, mine = c.ask("memory"), times[c.name]
        print(
            f"| {c.name} | {statistics.median(mine):.1f} | {min(mine):.1f} | "
            f"{compile_time['seconds']:.1f} | {last['peak'] / 2**20:.0f} |"
        )
        c.close()


if __name__ == "__main__":
    main()
