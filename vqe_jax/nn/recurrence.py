"""The one way this package runs a cell over time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core.lift import Out

from vqe_jax.nn.remat import recomputed

__all__ = ["scan_time", "steps_at_once"]

# XLA's CPU backend computes the kernel gradient of a convolution inside a loop without its fast
# library code, far slower than outside, so clips as short as those of training are unrolled there.
_LONGEST_UNROLLED_ON_CPU = 32


def scan_time(
    cell: nn.Module,
    state: Any,
    inputs: Any,
    *,
    reverse: bool = False,
    method: Callable[..., tuple[Any, Any]] | None = None,
    remat: bool | None = None,
    unroll: int | None = None,
) -> tuple[Any, Any]:
    """Applies ``state, y = cell(state, x)`` along axis 1 of the inputs with shared weights.

    Where the collection "metrics" is mutable, as in training, the root mean square of the last
    state is sown there as ``state_norm``; what the cell sows has an entry a step.

    Args:
      cell: a bound submodule; called as ``cell(state, x)``.
      state: the state before the first frame.
      inputs: a tree of arrays ``[b, t, ...]``.
      method: what to call instead of the cell's ``__call__``: ``method(cell, state, x)``.
      reverse: run from the last frame to the first; outputs stay in the order of the inputs.
      remat: recompute the cell's inside in the backward pass instead of storing it; None: see
        :mod:`vqe_jax.nn.remat`.
      unroll: steps laid out in one loop body; None chooses (all of them for short clips on
        the CPU, one elsewhere).

    Returns:
      The state after the last step, and the outputs ``[b, t, ...]``.
    """

    def body(module: nn.Module, carry: Any, x: Any) -> tuple[Any, Any]:
        return method(module, carry, x) if method else module(carry, x)

    length = jax.tree.leaves(inputs)[0].shape[1]
    scan = nn.scan(
        recomputed(remat)(body),
        variable_broadcast="params",
        variable_axes={"metrics": Out(0)},
        split_rngs={"params": False},
        in_axes=1,
        out_axes=1,
        reverse=reverse,
        unroll=steps_at_once(length) if unroll is None else unroll,
    )
    state, outputs = scan(cell, state, inputs)
    _log_size(cell, state)
    return state, outputs


def steps_at_once(length: int) -> int:
    """The ``unroll`` of a scan: all of a short one on the CPU, else one.

    At least two, since a single step unrolled once is a loop to JAX: XLA lays it out when its
    convolutions have been given their forms already, and a gradient takes 30 times as long.
    """
    on_cpu = jax.default_backend() == "cpu"
    return max(length, 2) if on_cpu and length <= _LONGEST_UNROLLED_ON_CPU else 1


def _log_size(module: nn.Module, state: Any) -> None:
    """Sows the last state's root mean square for whoever trains: a run-away shows there first."""
    if not module.is_mutable_collection("metrics") or module.is_initializing():
        return
    maps = [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]
    squares = [jnp.mean(jnp.square(x.astype(jnp.float32))) for x in maps]
    module.sow("metrics", "state_norm", jnp.sqrt(jnp.max(jnp.stack(squares))))
