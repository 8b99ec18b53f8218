"""PEN under the names of the released PyTorch code."""

from vqe_jax.weights.official import edvr, stdf
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["RULES"]

_EDVR: Rules = (
    prefixed("trunk/alignment", "pcd_align", edvr.ORIGINAL_ALIGNMENT),
    prefixed("trunk/fusion", "tsa_fusion", edvr.ORIGINAL_FUSION),
    prefixed("trunk/extraction", "feature_extraction", edvr.BLOCKS),
    prefixed("trunk/reconstruction", "recon_trunk", edvr.BLOCKS),
    (r"trunk/pyramid/l(\d)_conv(\d)", r"fea_L\1_conv\2"),
    (r"(?:trunk/)?(conv_first|conv_last)", r"\1"),
)
RULES: Rules = (
    prefixed("fusion", "ffnet", stdf.FUSION),
    prefixed("enhancement", "qenet", stdf.enhancement(2)),
    prefixed("", "edvr", _EDVR),
)
