"""CVQENet under the names of yiyunchen/CVQENet (VIP&DJI, NTIRE 2021)."""

from vqe_jax.weights.official.edvr import ORIGINAL_ALIGNMENT, ORIGINAL_FUSION
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["RULES"]

# ResidualBlocks in a list.
_BLOCKS: Rules = (
    (r"block(\d+)/gate/conv", r"\1.cbam_spatial.conv1"),
    (r"block(\d+)/(conv\d)", r"\1.\2"),
)
# The cells that go up are sorted by how much they join.
_CELLS = {
    "01": "UpConv_64.0",
    "11": "UpConv_64.1",
    "21": "UpConv_64.2",
    "02": "UpConv_96.0",
    "12": "UpConv_96.1",
    "03": "UpConv_128",
}
# Their number of each gate; 3 and 10 are never used.
_GATES = {
    "10_down": 0,
    "01_skip0": 1,
    "01_below": 2,
    "20_down": 4,
    "11_skip0": 5,
    "11_below": 6,
    "02_skip0": 7,
    "02_skip1": 8,
    "02_below": 9,
    "30_down": 11,
    "21_skip0": 12,
    "21_below": 13,
    "12_skip0": 14,
    "12_skip1": 15,
    "12_below": 16,
    "03_skip0": 17,
    "03_skip1": 18,
    "03_skip2": 19,
    "03_below": 20,
}
_CELL: Rules = (
    (r"up", "UpConv.0"),
    (r"head", "head.0"),
    prefixed(r"body", "conv", _BLOCKS),
)
_UNET: Rules = (
    (r"head", "InputConv.head.0"),
    prefixed(r"first", "InputConv.InputConv", _BLOCKS),
    (r"gate(\w+)", lambda m: f"ECA.{_GATES[m[1]]}.conv", "1 1 w -> w"),
    (r"cell(\d)0/down", lambda m: f"DownConv.{int(m[1]) - 1}.DownConv.0"),
    prefixed(r"cell(\d)0/body", lambda m: f"DownConv.{int(m[1]) - 1}.body", _BLOCKS),
    prefixed(r"cell(\d\d)", lambda m: _CELLS[m[1]], _CELL),
    (r"out", "OutConv.OutConv"),
)
RULES: Rules = (
    (r"(conv_first|conv_last)", r"\1"),
    prefixed(r"extraction", "feature_extraction", _BLOCKS),
    (r"l(\d)_(conv\d)", r"fea_L\1_\2"),
    prefixed(r"alignment", "pcd_align", ORIGINAL_ALIGNMENT),
    prefixed(r"fusion", "tsa_fusion", ORIGINAL_FUSION),
    prefixed(r"unet", "qe", _UNET),
    (r"unread_gate(\d+)", r"qe.ECA.\1.conv", "1 1 w -> w"),
    prefixed(r"reconstruction", "recon_trunk", _BLOCKS),
)
