"""One file a system; the class is named as in its paper.

``build("vig", width=32)`` makes a module by its file's name. A file of this package is a network
if it defines ``MODEL``, its class.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import Any

from vqe_jax.errors import UserError, near_misses
from vqe_jax.models.contract import Context, Network

__all__ = ["Context", "Network", "build", "fields", "model_class", "names"]

_NOT_NETWORKS = frozenset({"contract", "cost", "shapes"})


def names() -> list[str]:
    """The networks there are, by file name."""
    found = (m.name for m in pkgutil.iter_modules(__path__))
    return sorted(n for n in found if n not in _NOT_NETWORKS and not n.startswith("_"))


def model_class(name: str) -> type[Network]:
    """The class of a network.

    Raises:
      UserError: no network of that name; names the near misses.
    """
    if name not in names():
        raise UserError(f"model {name!r} does not exist{near_misses(name, names())}")
    return importlib.import_module(f"vqe_jax.models.{name}").MODEL


def fields(name: str) -> dict[str, Any]:
    """The keyword arguments of a network and their defaults."""
    return {
        f.name: None if f.default is dataclasses.MISSING else f.default
        for f in dataclasses.fields(model_class(name))
        if f.init and f.name not in ("parent", "name")
    }


def build(name: str, **kwargs: Any) -> Network:
    """Makes a network by its file's name.

    Args:
      name: a name of :func:`names`.
      **kwargs: fields of its class.

    Returns:
      An unbound linen module.

    Raises:
      UserError: an unknown name or keyword; names the near misses.

    Example:
      >>> build("vig", width=8).width
      8
    """
    known = fields(name)
    for key in kwargs:
        if key not in known:
            raise UserError(f"model {name!r} has no field {key!r}{near_misses(key, known)}")
    return model_class(name)(**kwargs)
