"""Official names of networks, one file each; how they are written: weights/conversion.py."""

from types import ModuleType

from vqe_jax.weights.official import (
    astf,
    basicvsr,
    dcngan,
    edvr,
    patchgan,
    pequenet,
    rfda,
    spynet,
    stdf,
)

__all__ = ["OFFICIAL"]

# What `from_torch` and `to_torch` know by name.
OFFICIAL: dict[str, ModuleType] = {
    "astf": astf,
    "basicvsr": basicvsr,
    "dcngan": dcngan,
    "edvr": edvr,
    "patchgan": patchgan,
    "pequenet": pequenet,
    "rfda": rfda,
    "spynet": spynet,
    "stdf": stdf,
}
