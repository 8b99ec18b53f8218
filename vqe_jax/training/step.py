"""What every kind of step is given and gives: ``make_step(stage, network, place) -> Step``.

A batch is split over a one-axis mesh, the state is on every device; XLA inserts the sums. The kinds
that there are stand in :mod:`vqe_jax.training.kinds`; the loop knows nothing else about a kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PRNGKeyArray

from vqe_jax.errors import UserError
from vqe_jax.training.corruption import Batch
from vqe_jax.training.state import TrainState

__all__ = ["Metrics", "Place", "Step", "jit_step", "make_place"]

Metrics = dict[str, Array]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where and when a stage runs.

    Attributes:
      mesh: one axis, "data".
      first_step: global number of the stage's first step.
      augment: ``(batch, key) -> batch``, the first thing that a step does with its batch.
    """

    mesh: Mesh
    first_step: int = 0
    seed: int = 0
    augment: Callable[[Batch, PRNGKeyArray], Batch] | None = None

    @property
    def replicated(self) -> NamedSharding:
        """The same on every device: states and metrics."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def split(self) -> NamedSharding:
        """The first axis over the devices: batches."""
        return NamedSharding(self.mesh, PartitionSpec("data"))


@dataclasses.dataclass(frozen=True)
class Step:
    """What a kind of step gives the loop.

    Attributes:
      init_state: variables -> state at the start of the stage.
      step_fn: (state, batch) -> (state, metrics); jitted, the state is donated. The metrics are
        scalars and hold "loss" and "skipped_in_a_row".
      warn: metrics on the host -> a line to say, or None.
      sample: (state, batch) -> a picture in [0, 1] to look at.
      sample_every: steps between pictures; 0: none.
    """

    init_state: Callable[[Any], TrainState]
    step_fn: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
    warn: Callable[[dict[str, float]], str | None] = lambda _: None
    sample: Callable[[TrainState, Batch], Array] | None = None
    sample_every: int = 0


def make_place(
    devices: int | None = None,
    *,
    first_step: int = 0,
    seed: int = 0,
    augment: Callable[[Batch, PRNGKeyArray], Batch] | None = None,
) -> Place:
    """A mesh of all devices, or of the first few; the rest as in :class:`Place`.

    Raises:
      UserError: more devices than there are.
    """
    there = jax.devices()
    if devices is not None and not 1 <= devices <= len(there):
        raise UserError(f"config.devices={devices}; there are {len(there)} devices here")
    chosen = np.asarray(there[:devices])
    return Place(Mesh(chosen, ("data",)), first_step=first_step, seed=seed, augment=augment)


def jit_step(step_fn: Callable[..., Any], place: Place) -> Callable[..., Any]:
    """Jits ``(state, batch, weights) -> (state, metrics)``; the state is donated."""
    return jax.jit(
        step_fn,
        donate_argnums=0,
        in_shardings=(place.replicated, place.split, place.replicated),
        out_shardings=(place.replicated, place.replicated),
    )
