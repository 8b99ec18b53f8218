"""Memory of a BasicVSR training step, by XLA's analysis of the compiled program.

    python benchmarks/basicvsr_memory.py [--batch 8 --frames 15 --crop 64 --features 64 --blocks 30]

Nothing is run: the step (forward, backward, Adam) is compiled for the device that is there and
its buffers are read off. On the CPU the loops over time are kept, as an accelerator has them
(the training loop unrolls them there for speed, which keeps more alive). Libraries' workspaces for
single convolutions are not in it.
"""

from __future__ import annotations

import time
from typing import Any

import jax
import jax.numpy as jnp
import optax

from vqe_jax import models
from vqe_jax.flags import Parser
from vqe_jax.models.shapes import initial_variables

_GB = 1024**3


def step_memory(batch: int, frames: int, crop: int, **kwargs: Any) -> tuple[float, float]:
    """Gigabytes of temporary memory, and of parameters, optimiser state and batch."""
    network = models.build("basicvsr", unroll=1, **kwargs)
    optimizer = optax.adam(2e-4, b1=0.9, b2=0.99)
    params = jax.eval_shape(lambda k: initial_variables(network, k), jax.random.key(0))["params"]
    state = jax.eval_shape(optimizer.init, params)
    clip = jax.ShapeDtypeStruct((batch, frames, crop, crop, 3), jnp.float32)

    def step(params: Any, state: Any, compressed: jax.Array, raw: jax.Array) -> Any:
        def loss_fn(params: Any) -> jax.Array:
            out = network.apply({"params": params}, compressed, train=True)
            return jnp.mean(jnp.sqrt(jnp.square(out - raw) + 1e-12))

        loss, grads = jax.value_and_grad(loss_fn)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, clip, clip).compile()
    found = compiled.memory_analysis()
    return found.temp_size_in_bytes / _GB, found.argument_size_in_bytes / _GB


def main() -> None:
    parser = Parser(description=__doc__)
    for name, value in (
        ("batch", 8),
        ("frames", 15),
        ("crop", 64),
        ("features", 64),
        ("blocks", 30),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--without-remat", action="store_true", help="measure that too")
    args = parser.parse_args()
    shape = f"batch {args.batch}, {args.frames} frames of {args.crop}x{args.crop}"
    width = f"{args.features} channels, {args.blocks} blocks"
    print(f"{jax.default_backend()}, jax {jax.__version__}: {shape}, {width}")
    print("| trunks | temporary GB | parameters, Adam, batch GB | compiled in s |")
    print("|---|---|---|---|")
    for remat in (True, False) if args.without_remat else (True,):
        start = time.perf_counter()
        temporary, held = step_memory(
            args.batch,
            args.frames,
            args.crop,
            features=args.features,
            blocks=args.blocks,
            remat=remat,
            mirrored=False,
        )
        seconds = time.perf_counter() - start
        kept = "recomputed" if remat else "kept"
        print(f"| {kept} | {temporary:.2f} | {held:.2f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
