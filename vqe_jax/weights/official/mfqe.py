"""MFQE 2.0 under PowerQE's names; the baseline of NTIRE 2021 is TensorFlow's and has none."""

from typing import Any

from vqe_jax.errors import UserError
from vqe_jax.weights.official import spynet
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["DEAD", "RENAMES", "rules"]

# A layer is a convolution, a PReLU and a normalization; the last is a convolution alone.
_DENSE: Rules = (
    (r"scale(\d)_(\d)", r"ks\1_conv_list.\2"),
    (r"conv5", "rec_conv.5"),
    (r"conv(\d)", r"rec_conv.\1.0"),
    (r"prelu(\d)", r"rec_conv.\1.1"),
    (r"bn(\d)", r"rec_conv.\1.2"),
)
DEAD = spynet.DEAD
RENAMES = spynet.RENAMES


def rules(*, flow: str, net: str, **_: Any) -> Rules:
    """PowerQE's parts.

    Raises:
      UserError: the baseline's flow or network, which have no names.
    """
    if (flow, net) != ("spynet", "dense"):
        raise UserError(
            f"mfqe with flow={flow!r}, net={net!r} is of the TensorFlow baseline, whose weights "
            "have no PyTorch names; those exist for flow='spynet', net='dense'"
        )
    return (prefixed("spynet", "spynet", spynet.RULES), prefixed("enhancement", "", _DENSE))
