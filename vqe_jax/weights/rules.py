"""The engine of official names: from rules and shapes to a table, and tensors through it.

How rules are written is told in :mod:`vqe_jax.weights.conversion`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from vqe_jax.errors import UserError

__all__ = [
    "Name",
    "Prefixed",
    "Rules",
    "Tensor",
    "official_table",
    "prefixed",
    "rearranged",
    "tensors_to_variables",
    "variables_to_tensors",
]

Name: TypeAlias = "str | tuple[str, ...] | Callable[[re.Match[str]], str | tuple[str, ...]]"
Rules: TypeAlias = "Sequence[tuple[str, Name] | tuple[str, Name, str] | Prefixed]"

# What PyTorch calls the variables of a layer.
_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "slope": "weight",
    "negative_slope": "weight",
    "embedding": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
# Theirs -> ours, axis by axis; "1" is an axis of length one, "-h" runs backward.
_USUAL = {
    ("kernel", 2): "o i -> i o",
    ("kernel", 3): "o i w -> w i o",
    ("kernel", 4): "o i h w -> h w i o",
    ("kernel", 5): "o i d h w -> d h w i o",
    ("negative_slope", 0): "1 ->",
}
_MARKERS = {
    "same": "",
    "pointwise": "o i 1 1 -> i o",
    # The convolution over the dilated input that a transposed one equals: its taps flipped.
    "conv_transpose": "i o h w -> -h -w i o",
}
# Counters of PyTorch's batch normalization, which nothing reads.
_NEVER_READ = re.compile(r"(^|\.)num_batches_tracked$")


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An official tensor: its names (several where PyTorch shares it), layout and shapes."""

    names: tuple[str, ...]
    layout: str  # "their axes -> our axes"; empty for the same axes
    ours: tuple[int, ...]  # the shape here

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape there."""
        return rearranged(np.broadcast_to(np.float32(0), self.ours), self.layout, back=True).shape


@dataclasses.dataclass(frozen=True)
class Prefixed:
    """Rules of a network that is part of another; see :func:`prefixed`."""

    ours: str
    theirs: Name
    rules: Rules


def prefixed(ours: str, theirs: Name, rules: Rules) -> Prefixed:
    r"""Rules of a part: below the path ``ours`` here, behind the name ``theirs`` there.

    Args:
      ours: regular expression for the path of the part; ``""`` for the network itself.
      theirs: their name of the part, as in a rule; ``""`` for none.

    Example:
      >>> level = [(r"conv(\d)", r"body.\1")]
      >>> table = official_table([prefixed(r"level(\d)", r"net.\1", level)],
      ...                        {"params/level2/conv0/bias": (8,)})
      >>> table["params/level2/conv0/bias"].names
      ('net.2.body.0.bias',)
    """
    return Prefixed(ours, theirs, rules)


def _expanded(name: Name, match: re.Match[str]) -> tuple[str, ...]:
    found = name(match) if callable(name) else name
    names = (found,) if isinstance(found, str) else found
    if not callable(name):
        names = tuple(match.expand(n) for n in names)
    return tuple(n.replace("/", ".") for n in names)


def _find(rules: Rules, module: str, leaf: str) -> tuple[tuple[str, ...], str] | None:
    """Names and layout marker by the first rule that matches a variable or its module."""
    variable = f"{module}/{leaf}" if module else leaf
    for rule in rules:
        if isinstance(rule, Prefixed):
            head = re.match(f"(?:{rule.ours})(?=/)" if rule.ours else "", f"{module}/")
            rest = head and _find(rule.rules, module[head.end() :].lstrip("/"), leaf)
            if head and rest:
                heads = [f"{h}." if h else "" for h in _expanded(rule.theirs, head)]
                return tuple(h + name for h in heads for name in rest[0]), rest[1]
            continue
        pattern, name, *layout = rule
        marker = layout[0] if layout else ""
        if leaf in _LEAVES and (match := re.fullmatch(pattern, module)):
            names = tuple(f"{n}.{_LEAVES[leaf]}".lstrip(".") for n in _expanded(name, match))
            # The marker of a layer is about its kernel.
            return names, marker if leaf == "kernel" else ""
        if match := re.fullmatch(pattern, variable):
            return _expanded(name, match), marker
    return None


def official_table(rules: Rules, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Which official tensor each variable is, from the variables' shapes by path.

    Raises:
      UserError: a variable without a rule, or two with the same official name.
    """
    table: dict[str, Tensor] = {}
    owners: dict[str, str] = {}
    for path, shape in shapes.items():
        *modules, leaf = path.split("/")[1:]
        found = _find(rules, "/".join(modules), leaf)
        if found is None:
            raise UserError(f"no rule gives {path} {shape} an official name; add one")
        names, marker = found
        usual = _USUAL.get((leaf, len(shape)), "")
        table[path] = Tensor(names, _MARKERS.get(marker, marker) if marker else usual, shape)
        for name in names:
            if owners.setdefault(name, path) != path:
                raise UserError(f"the rules give {owners[name]} and {path} one name, {name}")
    return table


def rearranged(x: np.ndarray, layout: str, *, back: bool = False) -> np.ndarray:
    """A view of an array in another layout; ``back`` goes from its right side to its left.

    Example:
      >>> rearranged(np.zeros((8, 3, 1, 1)), "o i 1 1 -> i o").shape
      (3, 8)
    """
    if not layout:
        return x
    sides = [side.split() for side in layout.split("->")]
    left, right = reversed(sides) if back else sides
    backward = {axis[1:] for axis in left + right if axis.startswith("-")}
    axes = [axis.lstrip("-") for axis in left if axis != "1"]
    wanted = [axis.lstrip("-") for axis in right if axis != "1"]
    x = np.squeeze(x, tuple(i for i, axis in enumerate(left) if axis == "1"))
    x = np.transpose(x, [axes.index(axis) for axis in wanted])
    x = x[tuple(slice(None, None, -1 if axis in backward else 1) for axis in wanted)]
    return np.expand_dims(x, tuple(i for i, axis in enumerate(right) if axis == "1"))


def _listed(items: Iterable[str]) -> str:
    items = sorted(items)
    return ", ".join(items[:4]) + (f" and {len(items) - 4} more" if len(items) > 4 else "")


def _check_names(where: str, table: Mapping[str, Tensor], found: Mapping[str, np.ndarray]) -> None:
    known = {name for tensor in table.values() for name in tensor.names}
    lacks = [f"{t.names[0]} {t.shape}" for t in table.values() if found.keys().isdisjoint(t.names)]
    unused = [f"{name} {x.shape}" for name, x in found.items() if name not in known]
    problems = [f"lacks {_listed(lacks)}"] if lacks else []
    if unused:
        problems.append(f"has tensors that the network does not use: {_listed(unused)}")
    if problems:
        raise UserError(f"{where}: the checkpoint " + "; it ".join(problems))


def _check_values(where: str, table: Mapping[str, Tensor], found: Mapping[str, np.ndarray]) -> None:
    owners = {name: path for path, tensor in table.items() for name in tensor.names}
    # The shape that tells most about what is wrong is that of the file's first kernel.
    for name in sorted(found, key=lambda name: -found[name].ndim):
        path = owners[name]
        tensor = table[path]
        if found[name].shape != tensor.shape:
            raise UserError(
                f"{where}: tensor {name!r} has shape {found[name].shape}, which does not make "
                f"{path} {tensor.ours}: expected {tensor.shape}; was it trained with other "
                "settings?"
            )
        for alias in tensor.names:
            if alias == name or alias not in found:
                continue
            if not np.array_equal(found[alias], found[name]):
                raise UserError(f"{where}: tensors {name!r} and {alias!r} are one, but they differ")


def tensors_to_variables(
    table: Mapping[str, Tensor],
    tensors: Mapping[str, np.ndarray],
    *,
    where: str,
    dead: Sequence[str] = (),
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Official tensors as our variables by path, strictly.

    Args:
      table: of :func:`official_table`.
      dead: regular expressions for official tensors that nothing reads.

    Returns:
      The variables, and the dead tensors' names.

    Raises:
      UserError: a tensor is missing, unused or misshapen, or differs from its alias.
    """
    known = {name for tensor in table.values() for name in tensor.names}
    dropped = [n for n in tensors if n not in known and any(re.search(p, n) for p in dead)]
    found = {n: x for n, x in tensors.items() if n not in dropped and not _NEVER_READ.search(n)}
    _check_names(where, table, found)
    _check_values(where, table, found)
    values = {}
    for path, tensor in table.items():
        name = next(n for n in tensor.names if n in found)
        values[path] = np.asarray(rearranged(found[name], tensor.layout), order="C")
    return values, dropped


def variables_to_tensors(
    table: Mapping[str, Tensor], variables: Mapping[str, Any], *, where: str
) -> dict[str, np.ndarray]:
    """Our variables by path as official tensors; a shared one is written under all its names.

    Raises:
      UserError: a variable is missing.
    """
    if missing := table.keys() - variables.keys():
        raise UserError(f"{where}: the variables lack {_listed(missing)}")
    result: dict[str, np.ndarray] = {}
    for path, tensor in table.items():
        value = rearranged(np.asarray(variables[path]), tensor.layout, back=True)
        result |= dict.fromkeys(tensor.names, np.asarray(value, order="C"))
    return result
