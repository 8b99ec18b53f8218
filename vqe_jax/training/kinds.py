"""The kinds of step there are.

A kind is a function ``make_step(stage, network, place) -> Step``. One of the reader's own is
registered, or named in a stage as ``kind="package.module:make_step"``.
"""

from __future__ import annotations

from collections.abc import Callable

from vqe_jax.registry import Registry
from vqe_jax.training import adversarial, plain
from vqe_jax.training.step import Step

__all__ = ["KINDS", "get", "register"]

KINDS: Registry[Callable[..., Step]] = Registry(
    "stage kind",
    {"plain": plain.make_step, "adversarial": adversarial.make_step},
    check=callable,
    expected="a function (stage, network, place) -> Step",
)

get = KINDS.get
register = KINDS.register
