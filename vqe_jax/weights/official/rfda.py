"""RFDA and its parts under the names of the released PyTorch code."""

from vqe_jax.errors import UserError
from vqe_jax.weights.official.stdf import FUSION, enhancement
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["ATTENTION", "rules"]

# A DSTA.
ATTENTION: Rules = (
    (r"squeeze", "conv_du.0"),
    (r"excite", "conv_du.2"),
    (r"down_conv2", "down_conv2.0"),
    (r"(\w+)", r"\1"),
)


def rules(*, recursive_fusion: str, attention: str, **_: object) -> Rules:
    """The rules; hidden layers are counted with their attentions.

    Raises:
      UserError: a recursive fusion that was never released.
    """
    if recursive_fusion == "conv_lstm":
        raise UserError("rfda: recursive_fusion='conv_lstm' was never released; no names to use")
    layers = 2 if attention == "none" else 3
    return (
        prefixed("fusion", "ffnet", FUSION),
        prefixed("recursion/align", "wpnet", FUSION),
        (r"recursion/fuse(1|2)", lambda m: f"fuse.{2 * int(m[1]) - 2}"),
        prefixed(
            r"enhancement/attention(\d+)",
            lambda m: f"qenet.hid_conv.{layers * int(m[1]) + 2}",
            ATTENTION,
        ),
        prefixed("enhancement", "qenet", enhancement(layers)),
    )
