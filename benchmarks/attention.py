"""Global attention: time and memory of the dense, blockwise and library forms.

    python benchmarks/attention.py [--sizes 416x240 832x480] [--gradient] [--compile-only 1920x1080]

One side of PeQuENet's largest block (a quarter of the frame's size, 128 channels in queries and
keys, 256 in values), float32. "extra" is what XLA sets aside beside inputs and results, by its own
account; on the CPU that may leave out what a fused dense form takes for itself. Sizes behind
``--compile-only`` are not run, nor are forms that hold all scores where these exceed
``--limit-gib``. The library's GPU kernel (``--cudnn``) takes bfloat16 only and is timed on that.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

from vqe_jax.flags import Parser
from vqe_jax.nn.attention import attend, choose_block_size, library_attention

QUERY, VALUE = 128, 256


def positions(size: str) -> int:
    """Positions of relu3_1 in a frame of WxH."""
    width, height = (int(n) for n in size.split("x"))
    return (width // 4) * (height // 4)


def forms(cudnn: bool, size: str, budget: float | None) -> dict[str, Callable[..., jax.Array]]:
    """What is compared."""
    block = choose_block_size(positions(size), budget=budget and int(budget * 2**20))
    found: dict[str, Callable[..., jax.Array]] = {
        "dense": functools.partial(attend, method="dense"),
        "blockwise": functools.partial(attend, method="blockwise", block_size=block),
        "library": functools.partial(attend, method="library"),
    }
    if cudnn:
        found["library, cuDNN, bfloat16"] = functools.partial(
            library_attention, implementation="cudnn"
        )
    return found


def compiled(form: Callable[..., jax.Array], count: int, dtype: jnp.dtype, gradient: bool):
    """The form, compiled for ``count`` positions, and its inputs' shapes."""
    widths = (QUERY, QUERY, VALUE)
    shapes = [jax.ShapeDtypeStruct((1, count, w), dtype) for w in widths]
    function = form
    if gradient:
        function = jax.grad(lambda *a: form(*a).sum(), argnums=(0, 1, 2))
    return jax.jit(function).lower(*shapes).compile(), shapes


def seconds(run, shapes, repeats: int) -> float:
    """Median time of a call."""
    keys = jax.random.split(jax.random.key(0), len(shapes))
    inputs = [
        jax.nn.relu(jax.random.normal(k, s.shape, s.dtype)) / 4
        for k, s in zip(keys, shapes, strict=True)
    ]
    jax.block_until_ready(run(*inputs))
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run(*inputs))
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def row(name: str, form, size: str, options: argparse.Namespace, run_it: bool) -> str:
    count = positions(size)
    dtype = jnp.dtype(jnp.bfloat16 if "bfloat16" in name else jnp.float32)
    head = f"| {size} | {count:,} | {4 * count**2 / 2**20:,.0f} | {name} |"
    try:
        run, shapes = compiled(form, count, dtype, options.gradient)
    except (ValueError, RuntimeError, jax.errors.JaxRuntimeError) as err:
        return f"{head} {str(err).splitlines()[0][:60]} | |"
    extra = run.memory_analysis().temp_size_in_bytes / 2**20
    if not run_it or (name != "blockwise" and 4 * count**2 > 2**30 * options.limit_gib):
        return f"{head} {extra:,.0f} | not run |"
    taken = 1000 * seconds(run, shapes, options.repeats)
    return f"{head} {extra:,.0f} | {taken:,.1f} |"


def main() -> None:
    parser = Parser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="*", default=["208x120", "416x240"])
    parser.add_argument("--compile-only", nargs="*", default=["832x480", "1920x1080"])
    parser.add_argument("--gradient", action="store_true", help="forward and backward")
    parser.add_argument("--cudnn", action="store_true", help="also the library's GPU kernel")
    parser.add_argument("--limit-gib", type=float, default=4.0)
    parser.add_argument("--budget-mib", type=float, help="of a block; default: the backend's")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    device = jax.devices()[0]
    print(f"{device.platform} ({device.device_kind}), jax {jax.__version__}")
    print(
        "| frame | positions | all scores, MiB | form | extra MiB | ms |\n|---|---|---|---|---|---|"
    )
    for size in [*options.sizes, *options.compile_only]:
        for name, form in forms(options.cudnn, size, options.budget_mib).items():
            print(row(name, form, size, options, size in options.sizes), flush=True)


if __name__ == "__main__":
    main()
