r"""Official PyTorch tensors into our variables, and back: strict, by rules.

How to write rules. ``weights/official/<name>.py`` (listed in ``official/__init__.py``) has
``RULES``, or ``rules(**fields)`` where names depend on the network's fields. A rule is ``(our path,
their name)``; the first that matches counts. The path is a regular expression for a whole module
path, ``r"body/block(\d+)/conv"``, and stands for all variables of that layer: ``kernel``, ``scale``
and a PReLU's ``slope`` become ``.weight``, ``bias`` ``.bias``, ``mean`` and ``var``
``.running_mean`` and ``.running_var``. If it matches a whole variable instead, ``r"block/gain"``,
the name is taken as it stands. The name is a template, ``r"body.\1.conv"`` (slashes become dots), a
function of the match, or a tuple where PyTorch shares one tensor under several names.

Kernels are turned round by their rank. A third entry says otherwise: ``"conv_transpose"``,
``"pointwise"`` (our Dense, their 1x1 convolution), ``"same"``, or axes, theirs to ours,
``"1 c 1 1 -> c"``. ``prefixed("spynet", "spynet", RULES)`` is a network inside a network. Beside
``RULES`` there may be ``DEAD``, regular expressions for official tensors that nothing reads, and
``RENAMES``, pairs for ``re.sub`` that bring other spellings to the one of the rules; counters of
batch normalization need neither. A network of your own has all this as class attributes,
``official_rules``, ``official_dead`` and ``official_renames``.

Example:
  >>> block = [(r"conv(\d)", lambda m: f"{2 * int(m[1]) - 2}"), (r"norm", "bn")]
  >>> rules = [
  ...     prefixed(r"block(\d+)", r"body.\1", block),
  ...     (r"block(\d+)/gain", r"body.\1.g", "1 c 1 1 -> c"),
  ... ]
  >>> shapes = {
  ...     "params/block0/conv2/kernel": (3, 3, 4, 8),
  ...     "batch_stats/block0/norm/var": (8,),
  ...     "params/block0/gain": (8,),
  ... }
  >>> [t.names[0] for t in official_table(rules, shapes).values()]
  ['body.0.2.weight', 'body.0.bn.running_var', 'body.0.g']
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from vqe_jax import models
from vqe_jax.errors import UserError
from vqe_jax.models.shapes import variable_shapes
from vqe_jax.weights.official import OFFICIAL
from vqe_jax.weights.rules import (
    Tensor,
    official_table,
    prefixed,
    tensors_to_variables,
    variables_to_tensors,
)

__all__ = ["from_torch", "official_table", "prefixed", "table_of", "to_torch"]

_LOG = logging.getLogger(__name__)


def _part(name: str, what: str, default: Any = None) -> Any:
    """``RULES`` or ``rules`` of the network's file, else its class attribute ``official_rules``."""
    if module := OFFICIAL.get(name):
        return getattr(module, what.upper(), getattr(module, what, default))
    return getattr(models.model_class(name), f"official_{what}", default)


def table_of(name: str, **kwargs: Any) -> dict[str, Tensor]:
    """Which official tensor each variable of ``models.build(name, **kwargs)`` is.

    Raises:
      UserError: the network has no official names, or a variable has none.

    Example:
      >>> tensor = table_of("stdf")["params/fusion/bottom_up/kernel"]
      >>> tensor.names, tensor.shape
      (('ffnet.tr_conv.4.weight',), (32, 32, 4, 4))
    """
    rules = _part(name, "rules")
    if rules is None:
        raise UserError(f"model {name!r} has no official PyTorch names to convert from or to")
    if callable(rules):
        rules = rules(**{**models.fields(name), **kwargs})
    shapes = _part(name, "variable_shapes", functools.partial(variable_shapes, name))(**kwargs)
    try:
        return official_table(rules, shapes)
    except UserError as err:
        raise UserError(f"{name}: {err}") from None


def _unwrapped(
    state_dict: Mapping[str, Any], renames: Sequence[tuple[str, Any]]
) -> dict[str, np.ndarray]:
    """Strips what training wrappers leave around and before the names, and spells them one way."""
    for wrapper in ("state_dict", "params", "params_ema"):
        if isinstance(state_dict.get(wrapper), Mapping):
            state_dict = state_dict[wrapper]
    found: dict[str, np.ndarray] = {}
    for key, value in state_dict.items():
        name = key.removeprefix("module.").removeprefix("generator.")
        for pattern, replacement in renames:
            name = re.sub(pattern, replacement, name)
        if name in found:
            raise UserError(f"the checkpoint has {name!r} twice, once spelt {key!r}")
        found[name] = np.asarray(value)
    return found


def from_torch(name: str, state_dict: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Converts official tensors to the variables of ``models.build(name, **kwargs)``.

    Args:
      name: the network; ``"spynet"`` and ``"patchgan"`` are parts that have names too.
      state_dict: official tensor names to arrays; a checkpoint that wraps them in
        ``state_dict`` or ``params``, or prefixes ``module.`` or ``generator.``, is unwrapped.

    Returns:
      ``{"params": ..., ...}`` as nested dictionaries of numpy arrays.

    Raises:
      UserError: a tensor is missing, unused, or of another shape than the network's.
    """
    tensors = _unwrapped(state_dict, _part(name, "renames", ()))
    flat, dropped = tensors_to_variables(
        table_of(name, **kwargs), tensors, where=name, dead=_part(name, "dead", ())
    )
    if dropped:
        _LOG.info("%s: dropped, since nothing reads them: %s", name, ", ".join(dropped))
    return unflatten_dict(flat, sep="/")


def to_torch(name: str, variables: Mapping[str, Any], **kwargs: Any) -> dict[str, np.ndarray]:
    """The way back: our variables under the official names and layouts.

    Args:
      variables: as :func:`from_torch` returns them.

    Returns:
      Official tensor names to arrays (without those that nothing reads).

    Raises:
      UserError: a variable is missing.
    """
    flat = flatten_dict(variables, sep="/")
    return variables_to_tensors(table_of(name, **kwargs), flat, where=name)
