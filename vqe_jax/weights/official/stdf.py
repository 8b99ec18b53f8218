"""STDF under the names of the released PyTorch code."""

from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["FUSION", "RULES", "enhancement"]

# A STDFFusion.
FUSION: Rules = (
    (r"(in|out)_conv", r"\1_conv.0"),
    (r"down(\d+)_conv1", r"dn_conv\1.0"),
    (r"down(\d+)_conv2", r"dn_conv\1.2"),
    (r"up(\d+)_conv", r"up_conv\1.0"),
    (r"up(\d+)_up", r"up_conv\1.2", "conv_transpose"),
    (r"bottom_conv1", "tr_conv.0"),
    (r"bottom_conv2", "tr_conv.2"),
    (r"bottom_up", "tr_conv.4", "conv_transpose"),
    (r"(offset_mask|deform_conv)", r"\1"),
)


def enhancement(stride: int) -> Rules:
    """The convolutions of a PlainEnhancement, whose hidden ones are ``stride`` entries apart."""
    return (
        (r"in_conv", "in_conv.0"),
        (r"conv(\d+)", lambda m: f"hid_conv.{stride * int(m[1])}"),
        (r"out_conv", "out_conv"),
    )


RULES: Rules = (
    prefixed("fusion", "ffnet", FUSION),
    prefixed("enhancement", "qenet", enhancement(2)),
)
