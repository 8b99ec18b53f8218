"""QENet under the names of the released PyTorch code."""

from vqe_jax.weights.official import edvr
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["RULES"]

# Their first number is the level, the second the way: 1 down, 2 up.
_ALIGNMENT: Rules = (
    (r"down(\d)_conv", r"offset_conv\1_1"),
    prefixed(r"down(\d)_blocks", r"resblock\1_1", edvr.BLOCKS),
    prefixed(r"up(\d)_blocks", r"resblock\1_2", edvr.BLOCKS),
    prefixed(r"deform", "dcn", edvr.PACK),
)
RULES: Rules = (
    prefixed("extraction", "fea_ext", edvr.BLOCKS),
    prefixed("alignment", "alignment", _ALIGNMENT),
    prefixed("fusion", "aggregation", edvr.TSA),
    prefixed("reconstruction", "fea_recon", edvr.BLOCKS),
    (r"conv_first", "first_conv"),
    (r"conv_out", "conv_out"),
)
