"""One file a system; the class is named as in its paper.

``build("vig", width=32)`` makes a module by name. Networks of the reader's own are built by
``"my_package.net:MyNet"``, or by a name after ``register("mine", MyNet)``.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from vqe_jax.errors import UserError, check_names
from vqe_jax.models.contract import Context, Network, Outputs, fits
from vqe_jax.models.families import FrameNetwork, WindowNetwork
from vqe_jax.models.side import Side
from vqe_jax.registry import Registry

__all__ = [
    "Context",
    "FrameNetwork",
    "Network",
    "Outputs",
    "Side",
    "WindowNetwork",
    "build",
    "fields",
    "model_class",
    "names",
    "register",
    "unregister",
]


def _is_network(entry: Any) -> bool:
    return isinstance(entry, type) and issubclass(entry, Network)


_NETWORKS: Registry[type[Network]] = Registry(
    "model",
    {
        "arcnn": "vqe_jax.models.arcnn:ARCNN",
        "astf": "vqe_jax.models.astf:ASTF",
        "basicvsr": "vqe_jax.models.basicvsr:BasicVSR",
        "basicvsrpp": "vqe_jax.models.basicvsrpp:BasicVSRPlusPlus",
        "block2rock": "vqe_jax.models.block2rock:Block2Rock",
        "bluedot": "vqe_jax.models.bluedot:Bluedot",
        "brnet": "vqe_jax.models.brnet:BRNet",
        "cfstif": "vqe_jax.models.cfstif:CFSTIF",
        "cvqenet": "vqe_jax.models.cvqenet:CVQENet",
        "dcad": "vqe_jax.models.dcad:DCAD",
        "dcngan": "vqe_jax.models.dcngan:DCNGAN",
        "dncnn": "vqe_jax.models.dncnn:DnCNN",
        "duve": "vqe_jax.models.duve:DUVE",
        "edvr": "vqe_jax.models.edvr:EDVR",
        "gogoing": "vqe_jax.models.gogoing:Gogoing",
        "mfqe": "vqe_jax.models.mfqe:MFQE",
        "mgbp3d": "vqe_jax.models.mgbp3d:MGBP3D",
        "noahtcv": "vqe_jax.models.noahtcv:NOAHTCV",
        "ovqe": "vqe_jax.models.ovqe:OVQE",
        "pen": "vqe_jax.models.pen:PEN",
        "pequenet": "vqe_jax.models.pequenet:PeQuENet",
        "provqe": "vqe_jax.models.provqe:ProVQE",
        "qecnn": "vqe_jax.models.qecnn:QECNN",
        "psmgf": "vqe_jax.models.psmgf:PSMGF",
        "qenet": "vqe_jax.models.qenet:QENet",
        "rcan_a": "vqe_jax.models.rcan_a:RCANA",
        "rcvn": "vqe_jax.models.rcvn:RCVN",
        "repnet": "vqe_jax.models.repnet:RepNet",
        "rfda": "vqe_jax.models.rfda:RFDA",
        "shannonnet": "vqe_jax.models.shannonnet:ShannonNet",
        "smgf": "vqe_jax.models.smgf:SMGF",
        "stdf": "vqe_jax.models.stdf:STDF",
        "stdr": "vqe_jax.models.stdr:STDR",
        "tim": "vqe_jax.models.tim:TIM",
        "vig": "vqe_jax.models.vig:VIG",
    },
    check=_is_network,
    expected="a subclass of vqe_jax.models.Network",
)

names = _NETWORKS.names
register = _NETWORKS.register
unregister = _NETWORKS.unregister


def model_class(name: str) -> type[Network]:
    """The class of a network: a registered name, or ``"module:Class"``.

    Raises:
      UserError: no network of that name; names the near misses.
    """
    return _NETWORKS.get(name)


def fields(name: str) -> dict[str, Any]:
    """The keyword arguments of a network and their defaults."""
    return {
        f.name: None if f.default is dataclasses.MISSING else f.default
        for f in dataclasses.fields(model_class(name))
        if f.init and f.name not in ("parent", "name")
    }


def build(name: str, **kwargs: Any) -> Network:
    """Makes a network.

    Args:
      name: a name of :func:`names`, or ``"module:Class"``.
      **kwargs: fields of its class; a field that is a struct may be given as a dictionary.

    Returns:
      An unbound linen module.

    Raises:
      UserError: an unknown name or keyword, or a choice that does not exist; names the near misses.

    Example:
      >>> build("vig", width=8).width
      8
    """
    cls, known = model_class(name), fields(name)
    kwargs = _with_conditioning(kwargs) if "conditioning" in known else kwargs
    hints = typing.get_type_hints(cls)
    check_names(f"model {name!r}", "field", kwargs, known)
    for key in kwargs:
        _check_kind(f"{name}.{key}", hints[key], kwargs[key])
    return cls(**{k: _struct(f"{name}.{k}", hints[k], v) for k, v in kwargs.items()})


def _check_kind(label: str, hint: Any, value: Any) -> None:
    if not fits(hint, value):
        found = repr(value) if len(repr(value)) < 60 else f"{repr(value)[:60]}..."
        expected = str(hint) if typing.get_args(hint) else hint.__name__
        raise UserError(f"{label} is {found}; expected {expected}")
    if hint is int and value < 0:
        raise UserError(f"{label} is {value}; expected at least 0")


def _struct(label: str, hint: Any, value: Any) -> Any:
    """A dictionary as the dataclass that a field's annotation asks for, a list as a tuple."""
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, typing.Mapping):
        return value
    structs = [h for h in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(h)]
    if not structs:
        return value
    known = [f.name for f in dataclasses.fields(structs[0])]
    hints = typing.get_type_hints(structs[0])
    check_names(label, "field", value, known)
    for key in value:
        _check_kind(f"{label}.{key}", hints[key], value[key])
    made: Any = structs[0]
    return made(**{k: tuple(v) if isinstance(v, list) else v for k, v in value.items()})


def _with_conditioning(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Model files written before 0.2 spread the struct over three keywords."""
    old = {"qps": "qps", "qp_interpolation": "interpolate"}
    given = {new: kwargs[name] for name, new in old.items() if name in kwargs}
    rest = {k: v for k, v in kwargs.items() if k not in (*old, "qp_conditioning")}
    if kwargs.get("qp_conditioning") is False:
        return rest | {"conditioning": None}
    return rest | {"conditioning": given} if given or "qp_conditioning" in kwargs else kwargs
