"""Losses: pure functions of a prediction and a target clip, found by their names.

``build("charbonnier", eps=1e-6)`` gives a function ``(prediction, target) -> scalar``. A loss that
takes ``weight`` can be restricted to a part of the pixels, as truth guidance needs it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

from vqe_jax.errors import UserError, near_misses

__all__ = ["Loss", "build", "function", "keywords", "names"]

Loss = Callable[..., Any]

# Loss -> the module of this package that defines it; imported on use, since some need weights.
_HOMES = {
    "charbonnier": "pixel",
    "l1": "pixel",
    "l2": "pixel",
    "fft": "frequency",
    "gradient": "gradient",
    "lpips": "perceptual",
    "dists": "perceptual",
    "vgg_pyramid": "perceptual",
}


def names() -> list[str]:
    """The losses there are."""
    return sorted(_HOMES)


def function(name: str) -> Loss:
    """The loss itself, ``(prediction, target, **options) -> scalar``.

    Raises:
      UserError: no loss of that name; names the near misses.
    """
    if name not in _HOMES:
        raise UserError(f"loss {name!r} does not exist{near_misses(name, names())}")
    return getattr(importlib.import_module(f"vqe_jax.losses.{_HOMES[name]}"), name)


def keywords(loss: Loss) -> list[str]:
    """What a loss takes beside prediction and target, also what is bound already."""
    inner = loss.func if isinstance(loss, functools.partial) else loss
    parameters = inspect.signature(inner).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def build(name: str, **kwargs: Any) -> Loss:
    """A loss with its options bound.

    Args:
      name: a name of :func:`names`.
      **kwargs: its options.

    Returns:
      A function ``(prediction, target) -> scalar``.

    Raises:
      UserError: an unknown name or option; names the near misses.

    Example:
      >>> import jax.numpy as jnp
      >>> clip = jnp.zeros((1, 2, 4, 4, 1))
      >>> float(build("l1")(clip, clip + 0.5))
      0.5
    """
    loss = function(name)
    known = keywords(loss)
    for key in kwargs:
        if key not in known:
            raise UserError(f"loss {name!r} has no option {key!r}{near_misses(key, known)}")
    return functools.partial(loss, **kwargs)
