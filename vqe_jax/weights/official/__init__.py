"""Official names of networks, one file each; how they are written: weights/conversion.py."""

from types import ModuleType

from vqe_jax.weights.official import (
    arcnn,
    astf,
    basicvsr,
    basicvsrpp,
    brnet,
    cfstif,
    cvqenet,
    dcad,
    dcngan,
    dncnn,
    duve,
    edvr,
    mfqe,
    ovqe,
    patchgan,
    pen,
    pequenet,
    qenet,
    rcan_a,
    rcvn,
    rfda,
    shannonnet,
    spynet,
    stdf,
    stdr,
)

__all__ = ["OFFICIAL"]

# What `from_torch` and `to_torch` know by name.
OFFICIAL: dict[str, ModuleType] = {
    "arcnn": arcnn,
    "astf": astf,
    "basicvsr": basicvsr,
    "basicvsrpp": basicvsrpp,
    "brnet": brnet,
    "cfstif": cfstif,
    "cvqenet": cvqenet,
    "dcad": dcad,
    "dcngan": dcngan,
    "dncnn": dncnn,
    "duve": duve,
    "edvr": edvr,
    "mfqe": mfqe,
    "ovqe": ovqe,
    "patchgan": patchgan,
    "pen": pen,
    "pequenet": pequenet,
    "provqe": basicvsrpp,
    "qenet": qenet,
    "rcan_a": rcan_a,
    "rcvn": rcvn,
    "rfda": rfda,
    "shannonnet": shannonnet,
    "spynet": spynet,
    "stdf": stdf,
    "stdr": stdr,
}
