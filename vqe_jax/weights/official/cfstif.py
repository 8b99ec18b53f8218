"""CF-STIF under the names of xiaomingxige/CF-STIF."""

from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["RULES"]

# Numbers are those of the sizes here (1: full, 2: half, 4: quarter), of the layers there.
_DOWN = {"1": "1", "2": "2", "4": "3"}
_UP = {"2": "1", "4": "2", "4_full": "3"}
_RESIDUAL = {"1": "1", "2_in": "2_1", "2_out": "2_2", "4_in": "3_1", "4_out": "3_2"}
_KERNELS = "357"  # the convolutions of a block, by the reach that they have together

_DOWN_LAYERS: Rules = ((r"strided", "d_conv"), (r"conv", "conv1"))
_UP_LAYERS: Rules = ((r"transposed", "up_conv", "conv_transpose"), (r"conv", "conv1"))
_FUSION: Rules = (
    (r"volume(\d)", lambda m: f"conv_first.{2 * int(m[1])}"),
    (r"flatten", "conv_cat1"),
    prefixed(r"down(\d)", lambda m: f"down_conv{_DOWN[m[1]]}", _DOWN_LAYERS),
    (r"up4_half", "trans_conv3", "conv_transpose"),
    (r"up2_full", "trans_conv2", "conv_transpose"),
    prefixed(r"up(2|4_full|4)", lambda m: f"up_conv{_UP[m[1]]}", _UP_LAYERS),
    (r"residual(\w+)/(conv\d)", lambda m: f"rse{_RESIDUAL[m[1]]}.{m[2]}"),
    (r"add", "conv_add"),
    (r"(offset_mask|deform_conv)", r"\1"),
)
_ENHANCEMENT: Rules = (
    (r"conv_in", "conv_first"),
    (r"block(\d)/conv(\d)", lambda m: f"DS_net{int(m[1]) + 1}.conv{_KERNELS[int(m[2])]}_1"),
    (r"block(\d)/join", lambda m: f"DS_net{int(m[1]) + 1}.conv_c"),
    (r"join", "conv_c"),
    (r"(conv|conv_last)", r"\1"),
)
RULES: Rules = (prefixed("fusion", "mlrd", _FUSION), prefixed("enhancement", "qe", _ENHANCEMENT))
