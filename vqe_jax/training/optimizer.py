"""Optimizers with unit learning rate, learning-rate schedules, and choices by parameter path.

The learning rate is a function of the stage's step, not of the optimizer's own count, so that a
skipped step does not shift the schedule; :mod:`vqe_jax.training.update` multiplies it in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from vqe_jax.errors import UserError, check_known, near_misses
from vqe_jax.models.shapes import tree_paths
from vqe_jax.training.stages import Optimizer, Rate, Schedule, Stage

__all__ = ["build_optimizer", "build_schedule", "paths", "rates", "selected"]

_FROZEN = -1


def paths(tree: Any) -> list[str]:
    """The paths of a tree's leaves, ``"head/kernel"``, in the tree's order."""
    return list(tree_paths(tree))


def selected(tree: Any, patterns: Iterable[str], what: str) -> list[str]:
    """Paths in which one of the patterns is found (``re.search``).

    Args:
      what: the config key they come from, for the message.

    Raises:
      UserError: a pattern that is no regular expression or finds nothing.
    """
    all_paths = paths(tree)
    found: set[str] = set()
    for pattern in patterns:
        try:
            hits = [p for p in all_paths if re.search(pattern, p)]
        except re.error as err:
            raise UserError(f"{what}: {pattern!r} is not a regular expression ({err})") from None
        if not hits:
            hint = near_misses(pattern, {p.split("/")[0] for p in all_paths})
            raise UserError(f"{what}: no parameter's path matches {pattern!r}{hint}")
        found.update(hits)
    return [p for p in all_paths if p in found]


def rates(stage: Stage, params: Any) -> Any:
    """For each parameter the :class:`Rate` it learns at; the last pattern that matches wins."""
    own: dict[str, Rate] = {}
    for rate in stage.rates:
        own |= dict.fromkeys(selected(params, [rate.pattern], "rates"), rate)
    whole = Rate("", 1.0)
    return jax.tree.unflatten(
        jax.tree.structure(params), [own.get(p, whole) for p in paths(params)]
    )


def build_schedule(stage: Stage) -> Callable[[Int[Array, ""]], Float[Array, ""]]:
    """Learning rate by step of the stage.

    Raises:
      UserError: an unknown schedule; periods and scales, or fractions and factors, of different
        number.
    """
    schedule = stage.schedule
    curve = _curve(schedule, stage.learning_rate, schedule.length or stage.steps)

    def learning_rate(step: Int[Array, ""]) -> Float[Array, ""]:
        count = step + schedule.offset
        with jax.numpy_dtype_promotion("standard"):
            rate = jnp.asarray(curve(count), jnp.float32)
        if schedule.warmup:
            risen = (count + 1).astype(jnp.float32) / schedule.warmup
            rate = rate * jnp.minimum(risen, 1.0)
        return rate

    return learning_rate


def _curve(schedule: Schedule, peak: float, length: int) -> optax.Schedule:
    check_known("schedule ", schedule.name, ("constant", "cosine", "step"))
    if schedule.name == "constant":
        return optax.constant_schedule(peak)
    if schedule.name == "step":
        return _steps(schedule, peak, length)
    periods = schedule.periods or (length,)
    scales = schedule.restart_scales or (1.0,) * len(periods)
    if len(scales) != len(periods):
        raise UserError(f"schedule: {len(periods)} periods but {len(scales)} restart_scales")
    pieces = [_cosine(peak * s, p, schedule.end) for p, s in zip(periods, scales, strict=True)]
    starts = [sum(periods[: i + 1]) for i in range(len(periods) - 1)]
    return optax.join_schedules(pieces, starts)


def _cosine(peak: float, length: int, end: float) -> optax.Schedule:
    """One period; optax takes its end as a share of the peak, which a peak of 0 does not have."""
    if peak == 0:
        return optax.constant_schedule(0.0)
    return optax.cosine_decay_schedule(peak, length, alpha=end / peak)


def _steps(schedule: Schedule, peak: float, length: int) -> optax.Schedule:
    fractions, factors = schedule.fractions, schedule.factor
    if isinstance(factors, float):
        factors = (factors,) * len(fractions)
    if len(factors) != len(fractions):
        raise UserError(f"schedule: {len(fractions)} fractions but {len(factors)} factors")
    drops = {round(f * length): factor for f, factor in zip(fractions, factors, strict=True)}
    return optax.piecewise_constant_schedule(peak, drops)


def build_optimizer(stage: Stage) -> optax.GradientTransformationExtraArgs:
    """The stage's optimizer with learning rate 1.

    Its ``update`` takes ``stage_step``; parameters that wait for a step (``rates``) get neither
    updates nor moments until then, those of rate 0 never.
    """
    section = stage.optimizer
    base = _base(section)
    parts: dict[int, optax.GradientTransformation] = {0: base, _FROZEN: optax.set_to_zero()}
    parts |= {rate.start: _held(base, rate.start) for rate in stage.rates if rate.start}
    chained = optax.partition(parts, lambda params: jax.tree.map(_part, rates(stage, params)))
    if section.adaptive_clip is not None:
        chained = optax.chain(optax.adaptive_grad_clip(section.adaptive_clip), chained)
    if section.clip_norm is not None:
        chained = optax.chain(optax.clip_by_global_norm(section.clip_norm), chained)
    return _with_standard_promotion(optax.with_extra_args_support(chained))


def _with_standard_promotion(
    inner: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
    """Optax mixes integers and floats, which a strict program (our tests) does not allow."""

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        with jax.numpy_dtype_promotion("standard"):
            return inner.update(grads, state, params, **extra)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def _part(rate: Rate) -> int:
    return rate.start if rate.factor else _FROZEN


def _held(base: optax.GradientTransformation, steps: int) -> optax.GradientTransformation:
    def due(_count: Any, stage_step: Any = None, **_: Any) -> Any:
        return stage_step >= steps

    return optax.conditionally_mask(base, due, forward_extra_args=True)


def _base(section: Optimizer) -> optax.GradientTransformation:
    b1, b2 = section.betas
    eps, decay = section.eps, section.weight_decay
    moments = {"b1": b1, "b2": b2, "eps": eps}
    makers: dict[str, Callable[[], optax.GradientTransformation]] = {
        "adam": lambda: optax.adam(1.0, **moments),
        "nadam": lambda: optax.nadam(1.0, **moments),
        "radam": lambda: optax.radam(1.0, **moments),
        "adamw": lambda: optax.adamw(1.0, weight_decay=decay, **moments),
        "lamb": lambda: optax.lamb(1.0, weight_decay=decay, **moments),
        "lion": lambda: optax.lion(1.0, b1=b1, b2=b2, weight_decay=decay),
        "sgd": lambda: optax.sgd(1.0, momentum=b1 or None),
        "muon": lambda: _muon(b1, b2, eps, decay),
    }
    check_known("optimizer ", section.name, makers)
    if decay and section.name in ("adam", "nadam", "radam", "sgd"):
        raise UserError(f"optimizer {section.name!r} has no weight_decay; use 'adamw'")
    return makers[section.name]()


def _muon(b1: float, b2: float, eps: float, decay: float) -> optax.GradientTransformation:
    """Muon on kernels, read as matrices (rest) x (output channels); Adam elsewhere."""

    def dimensions(params: Any) -> Any:
        def one(p: Any) -> optax.contrib.MuonDimensionNumbers | None:
            if p.ndim < 2:
                return None
            return optax.contrib.MuonDimensionNumbers(tuple(range(p.ndim - 1)), p.ndim - 1)

        return jax.tree.map(one, params)

    return optax.contrib.muon(
        1.0,
        beta=b1,
        adam_b1=b1,
        adam_b2=b2,
        eps=eps,
        weight_decay=decay,
        adam_weight_decay=decay,
        muon_weight_dimension_numbers=dimensions,
    )
