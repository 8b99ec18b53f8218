"""Programs compiled before they are needed, in a thread beside other work.

Inside :func:`compiling_ahead` the engine runs as always, but a program that it calls is compiled
and not run, and zeros of the right shapes go on in place of its results. So nobody has to know
which programs it will take to enhance frames later.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

__all__ = ["compiling_ahead", "program"]


class _Mode(threading.local):
    seen: dict[Any, Any] | None = None  # while compiling ahead: what was compiled, and its zeros


_mode = _Mode()


def program(*static: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Like :func:`jax.jit`, with the numbers of static arguments; but see the module."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        jitted = jax.jit(function, static_argnums=static)

        @functools.wraps(function)
        def call(*args: Any) -> Any:
            return jitted(*args) if _mode.seen is None else _compiled(jitted, args, static)

        return call

    return wrap


@contextlib.contextmanager
def compiling_ahead() -> Iterator[None]:
    """This thread compiles programs and does not run them."""
    _mode.seen = {}
    try:
        yield
    finally:
        _mode.seen = None


def _compiled(jitted: Any, args: tuple[Any, ...], static: tuple[int, ...]) -> Any:
    """Zeros in place of a program's result; it is compiled where that was not done yet."""
    fixed = tuple(args[i] for i in static)
    leaves, tree = jax.tree.flatten([a for i, a in enumerate(args) if i not in static])
    key = jitted, fixed, tree, tuple((np.shape(x), str(x.dtype)) for x in leaves)
    seen, _mode.seen = _mode.seen, None  # a program inside this one is a part of it
    assert seen is not None
    try:
        if key not in seen:
            lowered = jitted.lower(*args)
            lowered.compile()
            seen[key] = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), lowered.out_info)
    finally:
        _mode.seen = seen
    return seen[key]
