"""What an optimizer's update costs, tensor by tensor and as one vector, and steps in groups.

    python -m benchmarks.optimizer_forms --networks stdf edvr basicvsr --repeats 9

Adam on a network's own parameters with random gradients: as optax does it, a tensor at a time; on
all of them joined to one vector and taken apart again (``optax.flatten``); and on a vector that is
never taken apart, which is what a fused update could give at best. "compile" is of that program
alone. The last columns are of a step with hardly any arithmetic but the network's parameters and
state as arguments: one call a step, and eight steps a call by ``lax.scan``; what lies between is
what calling costs. Contenders take turns; figures are medians of processor time in milliseconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from benchmarks.races import race
from vqe_jax import models
from vqe_jax.models.shapes import initial_variables

_GROUP = 8


def _params(name: str) -> Any:
    network = models.build(name)
    shapes = jax.eval_shape(lambda key: initial_variables(network, key), jax.random.key(0))
    draw = np.random.default_rng(0)
    return jax.tree.map(
        lambda x: jnp.asarray(draw.standard_normal(x.shape, np.float32)), shapes["params"]
    )


def _update(optimizer: optax.GradientTransformation) -> Callable[..., Any]:
    def update(params: Any, state: Any, gradient: Any) -> Any:
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    return update


def _program(function: Callable[..., Any], *inputs: Any) -> tuple[Callable[[], Any], float]:
    """What runs it on donated inputs again and again, and the seconds that compiling took."""
    start = time.perf_counter()
    compiled = jax.jit(function, donate_argnums=(0, 1)).lower(*inputs).compile()
    seconds = time.perf_counter() - start
    held = [jax.tree.map(jnp.copy, x) for x in inputs[:2]]

    def run() -> None:
        held[:] = jax.block_until_ready(compiled(*held, *inputs[2:]))

    return run, seconds


def _nothing(params: Any, state: Any) -> Any:
    """A step that touches one number of each."""
    return jax.tree.map(lambda x: x.at[(0,) * x.ndim].add(1), (params, state))


def _nothings(params: Any, state: Any) -> Any:
    def body(carry: Any, _: None) -> Any:
        return _nothing(*carry), None

    return jax.lax.scan(body, (params, state), None, _GROUP)[0]


def row(name: str, repeats: int) -> str:
    """Measures one network's parameters."""
    params = _params(name)
    vector = ravel_pytree(params)[0]
    adam = optax.adam(1e-4)
    runs, seconds = {}, {}
    for form, optimizer, given in (
        ("tensors", adam, params),
        ("joined", optax.flatten(adam), params),
        ("vector", adam, vector),
    ):
        runs[form], seconds[form] = _program(
            _update(optimizer), given, optimizer.init(given), given
        )
    state = adam.init(params)
    runs["one call"], _ = _program(_nothing, params, state)
    runs["group"], _ = _program(_nothings, params, state)
    found = {name: times.processor for name, times in race(runs, repeats).items()}
    cells = [f"{found[form]:.2f} ({seconds[form]:.2f} s)" for form in seconds]
    calls = [f"{found['one call']:.2f}", f"{found['group'] / _GROUP:.2f}"]
    return " | ".join((name, f"{len(jax.tree.leaves(params))}", f"{vector.size:,}", *cells, *calls))


def main() -> None:
    """Prints a row a network."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["stdf", "edvr", "basicvsr"])
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    print("| network | tensors | parameters | a tensor at a time (compile) | joined | one vector"
          f" | a call | a step of {_GROUP} a call |")  # fmt: skip
    print("|---" * 8 + "|")
    for name in args.networks:
        print(f"| {row(name, args.repeats)} |", flush=True)


if __name__ == "__main__":
    main()
