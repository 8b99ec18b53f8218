"""The plain training step: one network, its losses, one optimiser; jitted over all devices.

A batch is split over a one-axis mesh, the state is on every device; XLA inserts the sums. A step
whose loss, gradient or result is not finite leaves the state as it was and is counted.

``make_step`` is what every kind of step offers: ``make_step(stage, network, place) -> Step``. The
loop knows nothing else about a kind.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from vqe_jax import losses
from vqe_jax.errors import UserError, near_misses
from vqe_jax.losses.perceptual import weights_name
from vqe_jax.models import Network
from vqe_jax.training import corruption
from vqe_jax.training.optimizer import build_optimizer, build_schedule, freeze_steps, lr_factors
from vqe_jax.training.stages import Stage, Term
from vqe_jax.training.state import TrainState, new_state
from vqe_jax.weights import load_perceptual

__all__ = [
    "Place",
    "Step",
    "apply_network",
    "build_terms",
    "descend",
    "finish",
    "jit_step",
    "kind",
    "loss_weights",
    "make_place",
    "make_step",
    "total_loss",
    "whole_windows",
    "without_frozen",
]

Metrics = dict[str, Array]
_KINDS = {"plain": "step", "adversarial": "adversarial_step"}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where and when a stage runs.

    Attributes:
      mesh: one axis, "data".
      first_step: global number of the stage's first step.
      seed: of everything random.
    """

    mesh: Mesh
    first_step: int = 0
    seed: int = 0

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
    step_fn: Callable[[TrainState, corruption.Batch], tuple[TrainState, Metrics]]
    warn: Callable[[dict[str, float]], str | None] = lambda _: None
    sample: Callable[[TrainState, corruption.Batch], Array] | None = None
    sample_every: int = 0


def kind(name: str) -> types.ModuleType:
    """The module of a kind of step, which offers ``make_step``.

    Raises:
      UserError: no such kind.
    """
    if name not in _KINDS:
        raise UserError(f"stage kind {name!r} does not exist{near_misses(name, _KINDS)}")
    return importlib.import_module(f"vqe_jax.training.{_KINDS[name]}")


def make_place(devices: int | None = None, *, first_step: int = 0, seed: int = 0) -> Place:
    """A mesh of all devices, or of the first few.

    Raises:
      UserError: more devices than there are.
    """
    there = jax.devices()
    if devices is not None and not 1 <= devices <= len(there):
        raise UserError(f"config.devices={devices}; there are {len(there)} devices here")
    chosen = np.asarray(there[:devices])
    return Place(Mesh(chosen, ("data",)), first_step=first_step, seed=seed)


def total_loss(
    terms: list[tuple[Term, losses.Loss]],
    prediction: Float[Array, "b t h w c"],
    target: Float[Array, "b t h w c"],
    batch: corruption.Batch,
    weights: dict[str, Any] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """The weighted sum of a stage's losses, and each by its name (numbered where one is repeated).

    A loss that has a keyword of the name of a batch's entry (``weight``, ``qp``) is given it.

    Args:
      terms: the losses with their functions.
      prediction: the network's result.
      target: the raw clip.
      batch: the batch after corruption.
      weights: of the losses that look through a frozen network, see :func:`loss_weights`.
    """
    values = {}
    total = jnp.zeros(())
    for label, (term, loss) in zip(_labels(terms), terms, strict=True):
        extras: dict[str, Any] = {
            k: batch[k] for k in ("weight", "qp") if k in batch and k in losses.keywords(loss)
        }
        if weights and (name := _weights_of(term, loss)):
            extras["variables"] = weights[name]
        value = loss(prediction, target, **extras)
        values[f"loss/{label}"] = value
        total = total + term.weight * value
    return total, values


def build_terms(stage: Stage) -> list[tuple[Term, losses.Loss]]:
    """The stage's losses as functions.

    Raises:
      UserError: a loss that cannot be restricted to the corrupted pixels.
    """
    terms = [(term, losses.build(term.name, **term.options)) for term in stage.losses]
    if stage.corruption is not None:
        for term, loss in terms:
            if "weight" not in losses.keywords(loss):
                raise UserError(
                    f"stage {stage.name!r}: loss {term.name!r} cannot be taken on a part of the "
                    f"pixels, which corruption {stage.corruption.get('name')!r} needs"
                )
    return terms


def loss_weights(terms: list[tuple[Term, losses.Loss]], place: Place) -> dict[str, Any]:
    """Variables of the frozen networks that losses look through, by network, on the devices.

    They enter the step as arguments: constants of that size are slow to compile.

    Raises:
      UserError: weights that are not at hand; says how to get them.
    """
    names = [name for term, loss in terms if (name := _weights_of(term, loss))]
    found = {name: load_perceptual(name).variables for name in dict.fromkeys(names)}
    return jax.device_put(found, place.replicated)


def _weights_of(term: Term, loss: losses.Loss) -> str | None:
    """Name of the perceptual weights that a loss takes; None if it takes none."""
    if "variables" not in losses.keywords(loss):
        return None
    named = {k: v for k, v in term.options.items() if k in ("net", "depth")}
    return weights_name(term.name, **named)


def _labels(terms: list[tuple[Term, losses.Loss]]) -> list[str]:
    """A name for each term in the metrics; terms of one loss are told apart by number."""
    names = [term.name for term, _ in terms]
    return [
        name if names.count(name) == 1 else f"{name}_{names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    ]


def _scalar_metrics(sown: Any) -> Metrics:
    """What the network sowed into "metrics", by name; the mean where it did so several times."""
    found: dict[str, list[Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(sown):
        names = [str(k.key) for k in path if hasattr(k, "key")]
        found.setdefault(names[-1], []).append(jnp.mean(leaf.astype(jnp.float32)))
    return {name: jnp.mean(jnp.stack(values)) for name, values in found.items()}


def whole_windows(network: Network, batch: corruption.Batch) -> tuple[str, corruption.Batch]:
    """The method that enhances the frames to be judged, and the batch cut to them.

    A window network is trained on the frames whose neighbours are all in the clip, as the official
    codes do; where there is none, on all frames with the ends repeated.
    """
    context = network.context
    length = batch["raw"].shape[1]
    if context.recurrence != "none" or length <= context.past + context.future:
        return "__call__", batch
    inner = slice(context.past, length - context.future)
    cut = {k: batch[k][:, inner] for k in ("raw", "weight") if k in batch}
    return "inner", batch | cut


def apply_network(
    network: Network, variables: Any, batch: corruption.Batch, key: PRNGKeyArray, method: str
) -> tuple[Float[Array, "b t h w c"], Any, Metrics]:
    """Runs a network for training, by the method that :func:`whole_windows` chose.

    Returns:
      Its result in float32, its updated other variables, and the metrics that it sowed.
    """
    result, updated = network.apply(
        variables, batch["compressed"], qp=batch.get("qp"), train=True,
        mutable=["batch_stats", "metrics"], rngs={"dropout": key}, method=method,
    )  # fmt: skip
    stats = {k: v for k, v in updated.items() if k != "metrics"}
    return result.astype(jnp.float32), stats, _scalar_metrics(updated.get("metrics", {}))


def keep_if(ok: Bool[Array, ""], new: Any, old: Any) -> Any:
    """``new`` where the step was finite, else ``old``."""
    return jax.tree.map(lambda n, o: jnp.where(ok, n, o), new, old)


def average(ema: Any, params: Any, decay: float, age: Array) -> Any:
    """Moves averaged parameters towards the parameters; the first steps move them faster."""
    n = age.astype(jnp.float32)
    d = jnp.minimum(decay, (1 + n) / (10 + n))
    return jax.tree.map(lambda e, p: e * d + p * (1 - d), ema, params)


def without_frozen(stage: Stage, params: Any) -> Any:
    """The parameters, cut off where the stage never trains them: XLA computes no gradient there."""
    held = freeze_steps(stage, params)
    return jax.tree.map(lambda p, h: jax.lax.stop_gradient(p) if h < 0 else p, params, held)


def descend(
    stage: Stage,
    optimizer: optax.GradientTransformationExtraArgs,
    rate: Float[Array, ""],
    state: TrainState,
    grads: Any,
    stage_step: Array,
) -> tuple[TrainState, Metrics, Bool[Array, ""]]:
    """One update of the network's parameters and of their average.

    Args:
      stage: what is held, scaled and averaged.
      optimizer: of :func:`build_optimizer`.
      rate: learning rate of this step.
      state: before the step.
      grads: of its parameters.
      stage_step: steps of the stage before this one.

    Returns:
      The new state, the norms for the log, and whether they are finite.
    """
    held = freeze_steps(stage, state.params)
    grads = jax.tree.map(lambda g, h: jnp.where(stage_step >= h, g, 0) if h > 0 else g, grads, held)
    updates, opt_state = optimizer.update(
        grads, state.opt_state, state.params, stage_step=stage_step
    )
    factors = lr_factors(stage, state.params)
    params = jax.tree.map(lambda p, u, f: p + (rate * f) * u, state.params, updates, factors)
    # A stage that goes on with its predecessor's average does not warm it up again.
    age = state.step if stage.keep_optimizer else stage_step
    ema = None if state.ema is None else average(state.ema, params, stage.ema, age)
    grad_norm, param_norm = optax.tree.norm(grads), optax.tree.norm(params)
    norms = {"learning_rate": rate, "grad_norm": grad_norm, "param_norm": param_norm}
    finite = jnp.isfinite(grad_norm) & jnp.isfinite(param_norm)
    return state.replace(params=params, ema=ema, opt_state=opt_state), norms, finite


def make_step(stage: Stage, network: Network, place: Place) -> Step:
    """The plain step of a stage.

    Args:
      stage: what to train and how.
      network: the module.
      place: devices, first step and seed.

    Returns:
      How to start a state, and the jitted step.

    Raises:
      UserError: unknown losses, patterns that match nothing, options that contradict each other.
    """
    if stage.options:
        raise UserError(f"stage {stage.name!r}: a plain step has no options, got "
                        f"{', '.join(stage.options)}")  # fmt: skip
    optimizer = build_optimizer(stage)
    schedule = build_schedule(stage)
    terms = build_terms(stage)
    corrupt = corruption.build(stage.corruption)

    def init_state(variables: Any) -> TrainState:
        lr_factors(stage, variables["params"])  # patterns that match nothing are said here
        opt_state = optimizer.init(variables["params"])
        state = new_state(
            variables, opt_state, step=place.first_step, averaged=stage.ema > 0
        )  # fmt: skip
        return jax.device_put(state, place.replicated)

    weights = loss_weights(terms, place)

    def step_fn(
        state: TrainState, batch: corruption.Batch, weights: Any
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.key(place.seed), state.step)
        noise_key, dropout_key = jax.random.split(key)
        if corrupt is not None:
            batch = corrupt(noise_key, batch)
        stage_step = state.step - place.first_step
        method, judged = whole_windows(network, batch)

        def loss_fn(params: Any) -> tuple[Array, Any]:
            variables = {"params": without_frozen(stage, params), **state.stats}
            result, stats, sown = apply_network(network, variables, batch, dropout_key, method)
            loss, values = total_loss(terms, result, judged["raw"], judged, weights)
            return loss, (stats, values | sown)

        (loss, (stats, values)), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params)
        rate = schedule(stage_step)
        new, norms, finite = descend(stage, optimizer, rate, state, grads, stage_step)
        new = new.replace(stats={**state.stats, **stats})
        return finish(finite & jnp.isfinite(loss), new, state, {"loss": loss, **norms, **values})

    jitted = jit_step(step_fn, place)
    return Step(init_state, lambda state, batch: jitted(state, batch, weights))


def jit_step(step_fn: Callable[..., Any], place: Place) -> Callable[..., Any]:
    """Jits ``(state, batch, weights) -> (state, metrics)``; the state is donated."""
    return jax.jit(
        step_fn,
        donate_argnums=0,
        in_shardings=(place.replicated, place.split, place.replicated),
        out_shardings=(place.replicated, place.replicated),
    )


def finish(
    ok: Bool[Array, ""], new: TrainState, old: TrainState, metrics: Metrics
) -> tuple[TrainState, Metrics]:
    """Takes a step or skips it, counts either, and adds the counters to the metrics.

    Args:
      ok: everything is finite.
      new: the state after the step, with the old counters.
      old: the state before.
      metrics: of the step.
    """
    state = keep_if(ok, new, old)
    in_a_row = jnp.where(ok, 0, old.skipped_in_a_row + 1)
    state = state.replace(
        step=old.step + 1,
        skipped=old.skipped + (1 - ok.astype(jnp.int32)),
        skipped_in_a_row=in_a_row,
    )
    return state, metrics | {"skipped": state.skipped, "skipped_in_a_row": in_a_row}
