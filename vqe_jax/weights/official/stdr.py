"""STDR under the names of xiaomingxige/STDR."""

from vqe_jax.weights.official.stdf import FUSION
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["RULES"]

_SELECTION: Rules = (
    (r"offset(\d)_(depth|point)", r"offset_mask.\1.\2_conv"),
    (r"deform(\d)", r"deform_conv.\1"),
    (r"join", "conv_attention.0"),
    (r"squeeze", "fc.0"),
    (r"weight(\d)", r"fcs.\1"),
    (r"merge", "conv.0"),
)
_BLOCK: Rules = (
    (r"dense(\d+)", r"dense_layers.\1.conv"),
    (r"attention/squeeze", "ca_block.ca_layer.1"),
    (r"attention/excite", "ca_block.ca_layer.3"),
    (r"conv", "conv3x3"),
    (r"skip_scale", "fuse_weight"),
    (r"scale", "fuse_weight_1"),
)
RULES: Rules = (
    prefixed("fusion", "ffnet.d_SKConv", _SELECTION),
    prefixed("fusion", "ffnet", FUSION),
    prefixed(r"block(\d+)", r"Ada_RDBlock_layer.\1", _BLOCK),
    (r"conv_in", "conv1.0"),
    (r"conv_out", "conv3.0"),
    (r"conv_last", "conv_last"),
)
