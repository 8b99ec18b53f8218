"""STDF and RFDA: milliseconds a frame, peak memory, and training steps, beside PyTorch.

    python -m benchmarks.stdf_rfda [--sizes 480p 720p] [--dtype float32 bfloat16] [--repeats 5]
    python -m benchmarks.stdf_rfda --train [--shape 2 7 48]   # batch, frames, crop; default: below
    python -m benchmarks.stdf_rfda --memory [--train]     # compiles only: any machine will do
    python -m benchmarks.stdf_rfda --windows              # all windows in one call, and one by one

A frame is one call of STDF on its window, or one step of RFDA's stream; a training step is STDF's
on 7-frame windows or RFDA's through all frames of a clip, with Charbonnier loss and Adam. Frames
are random. Where PyTorch is installed, the same networks with the same weights (benchmarks/
torch_forms, eager, float32 with TF32) take turns with ours after a check that both give the same
frames; the row says whose deformable convolution it is. The last rows are the official PyTorch
networks as measured on an NVIDIA H200, which mean something beside a GPU only. Times are medians.
Memory is XLA's analysis of the compiled program (temporary buffers, arguments and results), and
PyTorch's own peak on a GPU.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
from collections.abc import Callable
from typing import Any, NamedTuple

# Whoever waits must leave the cores and the memory to the other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.races import needed_bytes, race
from vqe_jax import models, weights
from vqe_jax.models.shapes import initial_variables
from vqe_jax.nn import recurrence

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
# Batch, frames, crop of a training step, and what the official code takes on an H200: ms, GiB.
TRAINING = {"stdf": (32, 7, 112), "rfda": (8, 15, 112)}
OFFICIAL_TRAINING = {"stdf": (19.0, 2.9), "rfda": (380.0, 20.0)}

HAVE_TORCH = importlib.util.find_spec("torch") is not None

_GIB = 2**30


class Contender(NamedTuple):
    """One row of a table."""

    name: str
    run: Callable[[], Any]
    gib: Callable[[], float | None]  # asked after the run


def _network(name: str, dtype: str = "float32") -> tuple[models.Network, Any]:
    network = models.build(name, dtype=dtype)
    return network, jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))


@functools.cache
def _variables(name: str) -> Any:
    return initial_variables(models.build(name), jax.random.key(0))


def _frame(network: models.Network) -> Callable[..., Any]:
    """(variables, state, window) -> (state, frame)."""
    if network.context.recurrence == "none":
        return lambda v, state, w: (state, network.apply(v, w, method="inner")[:, 0])
    return lambda v, state, w: network.apply(v, state, w, method="step")


def _zeros(shapes: Any) -> Any:
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)


def _frame_program(name: str, size: tuple[int, int], dtype: str) -> tuple[Any, Any]:
    """The compiled program of a frame amid a stream, and the shape of its state."""
    network, variables = _network(name, dtype)
    window = jax.ShapeDtypeStruct((1, 7, *size, 1), jnp.float32)
    frame = _frame(network)
    state = jax.eval_shape(lambda v, w: frame(v, None, w), variables, window)[0]
    program = jax.jit(frame, donate_argnums=1).lower(variables, state, window).compile()
    return program, state


def _our_frame(name: str, size: tuple[int, int], dtype: str) -> Contender:
    program, shape = _frame_program(name, size, dtype)
    held = [_zeros(shape)]
    window = jax.random.uniform(jax.random.key(1), (1, 7, *size, 1))

    def run() -> Any:
        held[0], frame = program(_variables(name), held[0], window)
        return jax.block_until_ready(frame)

    return Contender(f"ours, {dtype}", run, lambda: needed_bytes(program) / _GIB)


def _torch_network(name: str, variables: Any) -> Any:
    """The PyTorch network with our weights, on the GPU if there is one."""
    import torch

    from benchmarks.torch_forms.stdf_official import TorchRFDA, TorchSTDF

    torch.set_float32_matmul_precision("high")
    network = {"stdf": TorchSTDF, "rfda": TorchRFDA}[name]()
    official = weights.to_torch(name, variables)
    network.load_state_dict({k: torch.tensor(v) for k, v in official.items()})
    return network.to("cuda" if torch.cuda.is_available() else "cpu")


def _torch_contender(network: Any, work: Callable[[], Any]) -> Contender:
    import torch

    from benchmarks.torch_forms.stdf_official import DEFORMABLE

    on_gpu = next(network.parameters()).is_cuda

    def run() -> None:
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        work()
        if on_gpu:
            torch.cuda.synchronize()

    def gib() -> float | None:
        return torch.cuda.max_memory_allocated() / _GIB if on_gpu else None

    return Contender(f"PyTorch {torch.__version__} ({DEFORMABLE})", run, gib)


def _torch_frame(name: str, size: tuple[int, int]) -> Contender:
    import torch

    network = _torch_network(name, _variables(name))
    stack = torch.rand(1, 7, *size, device=next(network.parameters()).device)
    held: list[Any] = [None]

    def work() -> None:
        with torch.no_grad():
            held[0], _ = network(stack, held[0])

    return _torch_contender(network, work)


def _livelier(variables: Any) -> Any:
    """Larger kernels than at random, so that offsets reach pixels and every part shows."""

    def larger(path: Any, x: jax.Array) -> jax.Array:
        name = jax.tree_util.keystr(path)
        return x * (3.0 if "kernel" in name else 1.0) * (3.0 if "mask" in name else 1.0)

    return jax.tree_util.tree_map_with_path(larger, variables)


def check(name: str) -> float:
    """How far the frames of a small clip are apart, as a part of the largest residual."""
    import torch

    from benchmarks.torch_forms.stdf_official import through_time

    variables = _livelier(_variables(name))
    clip = np.random.default_rng(0).random((1, 3, 40, 48, 1), np.float32)
    network = _torch_network(name, variables)
    device = next(network.parameters()).device
    with torch.no_grad():
        theirs = through_time(network, torch.from_numpy(clip[..., 0]).to(device)).cpu().numpy()
    ours = np.asarray(jax.jit(models.build(name).apply)(variables, clip))
    return float(np.abs(ours[..., 0] - theirs).max() / np.abs(ours - clip).max())


def _compare(names: list[str]) -> bool:
    """Whether PyTorch can take part; says how well the networks agree."""
    if not HAVE_TORCH:
        return False
    on_cpu = jax.default_backend() == "cpu"
    for name in names:
        difference = check(name)
        print(f"{name}: ours and PyTorch's differ by {difference:.1e} of the largest residual")
        if difference > (1e-4 if on_cpu else 5e-2):  # TF32 has ten bits
            raise SystemExit("they are not the same network; no times")
    print()
    return True


def _row(*cells: Any) -> None:
    texts = ("-" if c is None else f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells)
    print("| " + " | ".join(texts) + " |", flush=True)


def _rows(lead: tuple[str, ...], contenders: list[Contender], repeats: int | None) -> None:
    """One row a contender; without ``repeats`` nothing runs."""
    times = race({c.name: c.run for c in contenders}, repeats) if repeats else {}
    for contender in contenders:
        ms = times[contender.name].wall if times else None
        _row(*lead, contender.name, ms, contender.gib())


def frames(names: list[str], sizes: list[str], dtypes: list[str], repeats: int | None) -> None:
    with_torch = bool(repeats) and _compare(names)
    print("| network | size | program | ms | GiB |")
    print("|---|---|---|---|---|")
    for name in names:
        for size in sizes:
            contenders = [_our_frame(name, SIZES[size], dtype) for dtype in dtypes]
            if with_torch:
                contenders.append(_torch_frame(name, SIZES[size]))
            _rows((name, size), contenders, repeats)
            official = OFFICIAL_MS[name].get(size), OFFICIAL_GIB[name].get(size)
            _row(name, size, "official, H200", *official)


def _our_training(name: str, shape: tuple[int, int, int], dtype: str) -> Contender:
    network, variables = _network(name, dtype)
    batch, length, crop = shape
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

    shapes = jax.eval_shape(optimizer.init, variables["params"])
    program = jax.jit(step).lower(variables["params"], shapes, clip, clip).compile()

    @functools.cache
    def start() -> list[Any]:
        params = _variables(name)["params"]
        return [
            params,
            optimizer.init(params),
            *(jax.random.uniform(jax.random.key(k), clip.shape) for k in (1, 2)),
        ]

    def run() -> Any:
        held = start()
        held[0], held[1], value = program(*held)
        return jax.block_until_ready(value)

    return Contender(f"ours, {dtype}", run, lambda: needed_bytes(program) / _GIB)


def _torch_training(name: str, shape: tuple[int, int, int]) -> Contender:
    import torch

    from benchmarks.torch_forms.stdf_official import RADIUS, through_time

    network = _torch_network(name, _variables(name))
    device = next(network.parameters()).device
    batch, length, crop = shape
    compressed, raw = (torch.rand(batch, length, crop, crop, device=device) for _ in range(2))
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)

    def work() -> None:
        optimizer.zero_grad(set_to_none=True)
        if name == "stdf":
            error = network(compressed)[1] - raw[:, RADIUS : RADIUS + 1]
        else:
            error = through_time(network, compressed) - raw
        torch.sqrt(error**2 + 1e-6).mean().backward()
        optimizer.step()

    return _torch_contender(network, work)


def training(
    names: list[str], shape: tuple[int, int, int] | None, dtypes: list[str], repeats: int | None
) -> None:
    with_torch = bool(repeats) and _compare(names)
    print("| network | batch, frames, crop | program | ms | GiB |")
    print("|---|---|---|---|---|")
    for name in names:
        chosen = shape or TRAINING[name]
        if name == "stdf":
            chosen = (chosen[0], 7, chosen[2])
        lead = (name, ", ".join(map(str, chosen)))
        contenders = [_our_training(name, chosen, dtype) for dtype in dtypes]
        if with_torch:
            contenders.append(_torch_training(name, chosen))
        _rows(lead, contenders, repeats)
        if chosen == TRAINING[name]:
            _row(*lead, "official, H200", *OFFICIAL_TRAINING[name])


def windows(repeats: int, count: int = 8, size: tuple[int, int] = (64, 96)) -> None:
    """STDF-R3 on the windows of a clip: one call of them all against one call a window."""
    network, variables = models.build("stdf"), _variables("stdf")
    clip = jax.random.uniform(jax.random.key(1), (1, count + 6, *size, 1))
    whole = jax.jit(lambda v, c: network.apply(v, c, method="inner"))

    def one_by_one() -> Any:
        return [jax.block_until_ready(whole(variables, clip[:, i : i + 7])) for i in range(count)]

    def together() -> Any:
        return jax.block_until_ready(whole(variables, clip))

    found = race({"together": together, "apart": one_by_one}, repeats)
    told = f"{found['together'].wall:.1f} ms together, {found['apart'].wall:.1f} apart"
    print(f"{count} windows of {size[0]}x{size[1]}: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["480p", "720p", "1080p"])
    parser.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16"), default=["float32"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--networks", nargs="+", choices=TRAINING, default=list(TRAINING))
    parser.add_argument("--shape", type=int, nargs=3, help="batch, frames, crop of a training step")
    for flag in ("train", "memory", "windows"):
        parser.add_argument(f"--{flag}", action="store_true")
    args = parser.parse_args()
    print(f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, jax {jax.__version__}\n")
    repeats = None if args.memory else args.repeats
    if args.memory:
        # As on accelerators, which loop over the frames; the CPU's unrolled program needs more.
        recurrence._LONGEST_UNROLLED_ON_CPU = 0
    if args.windows:
        windows(args.repeats)
    elif args.train:
        training(args.networks, args.shape and tuple(args.shape), args.dtype, repeats)
    else:
        frames(args.networks, args.sizes, args.dtype, repeats)


if __name__ == "__main__":
    main()
