"""What a stage minimizes: its losses, each of the output that it names, and their weighted sum."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from vqe_jax import losses
from vqe_jax.errors import UserError, near_misses
from vqe_jax.models import Network
from vqe_jax.training import corruption
from vqe_jax.training.forward import side_of
from vqe_jax.training.stages import Stage, Term, TermWeight
from vqe_jax.training.step import Metrics, Place
from vqe_jax.weights import load_perceptual

__all__ = ["Objective", "build_objective", "term_weight"]

_PICTURE = "picture"


@dataclasses.dataclass(frozen=True)
class Objective:
    """The losses of a stage."""

    terms: tuple[tuple[Term, losses.Loss], ...]
    labels: tuple[str, ...]

    @property
    def outputs(self) -> bool:
        """Whether it looks at an output beside the picture."""
        return any(term.of != _PICTURE for term, _ in self.terms)

    def check(self, network: Network, where: str) -> None:
        """Refuses a network that does not have the outputs.

        Raises:
          UserError: an output that the network does not name.
        """
        known = (_PICTURE, *network.context.outputs)
        for term, _ in self.terms:
            if term.of not in known:
                raise UserError(
                    f"{where}: loss {term.name!r} is taken of output {term.of!r}, which "
                    f"{type(network).__name__} does not have{near_misses(term.of, known)}"
                )

    def load_weights(self, place: Place) -> dict[str, Any]:
        """Variables of the frozen networks that losses look through, by name, on the devices.

        They enter the step as arguments: constants of that size are slow to compile.

        Raises:
          UserError: weights that are not at hand; says how to get them.
        """
        names = [name for term, loss in self.terms if (name := _weights_of(term, loss))]
        found = {name: load_perceptual(name).variables for name in dict.fromkeys(names)}
        return jax.device_put(found, place.replicated)

    def __call__(
        self,
        outputs: dict[str, Any],
        batch: corruption.Batch,
        weights: dict[str, Any] | None = None,
        step: Int[Array, ""] | int = 0,
    ) -> tuple[Float[Array, ""], Metrics]:
        """The weighted sum of the losses, and each by its label.

        Args:
          outputs: of the network, by name: arrays, or trees of them.
          batch: cut to the frames to compare, see :func:`vqe_jax.training.forward.whole_windows`.
          weights: of :meth:`load_weights`.
        """
        values: Metrics = {}
        total = jnp.zeros(())
        for label, (term, loss) in zip(self.labels, self.terms, strict=True):
            value = _value(term, loss, outputs, batch, weights or {})
            values[f"loss/{label}"] = value
            weight = term_weight(term.weight, step)
            if isinstance(term.weight, TermWeight):
                values[f"weight/{label}"] = weight
            total = total + weight * value
        return total, values


def _value(
    term: Term,
    loss: losses.Loss,
    outputs: dict[str, Any],
    batch: corruption.Batch,
    weights: dict[str, Any],
) -> Float[Array, ""]:
    arrays = [outputs[term.of]]
    if loss.target == "window" and "raw_windows" not in batch:
        raise UserError(
            f"loss {term.name!r} compares with the ground truth of the frames that the network "
            "chooses, which the batches lack; set data.raw_window=True"
        )
    if loss.target is not None:
        arrays.append(batch["raw" if loss.target == "raw" else "raw_windows"])
    given: dict[str, Any] = {k: batch[k] for k in loss.takes if k in batch}
    if "side" in loss.takes:
        given["side"] = side_of(batch)
    if name := _weights_of(term, loss):
        given["variables"] = weights[name]
    return loss(*arrays, **given)


def term_weight(weight: float | TermWeight, step: Int[Array, ""] | int) -> Any:
    """The weight of a loss at a step of its stage."""
    if not isinstance(weight, TermWeight):
        return weight
    values, steps = jnp.asarray(weight.values), jnp.asarray(weight.steps)
    if weight.hold:
        index = jnp.searchsorted(steps, jnp.asarray(step), side="right") - 1
        return values[jnp.maximum(index, 0)]
    now = jnp.asarray(step).astype(jnp.float32)
    return jnp.interp(now, steps.astype(jnp.float32), values)


def build_objective(stage: Stage) -> Objective:
    """The losses of a stage as functions.

    Raises:
      UserError: an unknown loss or option, or a loss that cannot be restricted to the pixels that
        the stage's corruption leaves.
    """
    terms = tuple((term, losses.build(term.name, **term.options)) for term in stage.losses)
    corrupt = corruption.build(stage.corruption)
    if stage.corruption is not None and corrupt is not None and corrupt.masks:
        for term, loss in terms:
            if "weight" not in loss.takes:
                raise UserError(
                    f"stage {stage.name!r}: loss {term.name!r} cannot be taken on a part of the "
                    f"pixels, which corruption {stage.corruption.get('name')!r} needs"
                )
    return Objective(terms, _labels(stage.losses))


def _weights_of(term: Term, loss: losses.Loss) -> str | None:
    """Name of the perceptual weights that a loss takes; None if it takes none."""
    return None if loss.weights is None else loss.weights(term.options)


def _labels(terms: tuple[Term, ...]) -> tuple[str, ...]:
    """Names of the terms: of the loss, of the output where it is another, numbered if repeated."""
    names = []
    for term in terms:
        name = term.name.rpartition(":")[2]
        names.append(name if term.of == _PICTURE else f"{name}_{term.of}")
    return tuple(
        name if names.count(name) == 1 else f"{name}_{names[: i + 1].count(name)}"
        for i, name in enumerate(names)
    )
