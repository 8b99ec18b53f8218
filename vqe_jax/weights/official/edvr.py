"""EDVR under the names of mmediting, mmagic, PowerQE and PowerVQE; BasicSR's are understood too."""

from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["BLOCKS", "ORIGINAL_ALIGNMENT", "ORIGINAL_FUSION", "PACK", "RENAMES", "RULES", "TSA"]

# A ResidualBlocks.
BLOCKS: Rules = ((r"block(\d+)/(conv\d)", r"\1.\2"),)
# A DeformPack: their deformable convolution holds the one that predicts its offsets.
PACK: Rules = ((r"offset", "conv_offset"), (r"conv", ""))
_ALIGNMENT: Rules = (
    (r"(l\d)_offset(\d)", r"offset_conv\2.\1.conv"),
    (r"(l\d)_feature", r"feat_conv.\1.conv"),
    (r"cascade_offset(\d)", r"cas_offset_conv\1.conv"),
    prefixed(r"(l\d)_deform", r"dcn_pack.\1", PACK),
    prefixed(r"cascade_deform", "cas_dcnpack", PACK),
)


def _tsa(wrapped: str) -> Rules:
    """A TSAFusion; ``wrapped`` follows the name of a convolution with an activation."""
    return (
        (r"temporal_reference", "temporal_attn1"),
        (r"temporal_frames", "temporal_attn2"),
        (r"fusion", f"feat_fusion{wrapped}"),
        (r"spatial5", "spatial_attn5"),
        (r"spatial(\d)", rf"spatial_attn\1{wrapped}"),
        (r"level(\d)", rf"spatial_attn_l\1{wrapped}"),
        (r"add1", f"spatial_attn_add1{wrapped}"),
        (r"add2", "spatial_attn_add2"),
    )


# As BasicSR names it, which others took over.
TSA: Rules = _tsa("")
RULES: Rules = (
    prefixed(r"trunk/alignment", "pcd_alignment", _ALIGNMENT),
    prefixed(r"trunk/fusion", "fusion", _tsa(".conv")),
    prefixed(r"trunk/extraction", "feature_extraction", BLOCKS),
    prefixed(r"trunk/reconstruction", "reconstruction", BLOCKS),
    (r"trunk/pyramid/(l\d_conv\d)", r"feat_\1.conv"),
    (r"trunk/conv_down(\d)", r"conv_ds\1"),
    (r"trunk/(conv_first|fusion)", r"\1"),
    (r"upsample_(\d)/conv", lambda m: f"upsample{int(m[1]) + 1}.upsample_conv"),
    (r"(conv_hr|conv_last)", r"\1"),
)
# BasicSR's convolutions with an activation are plain ones.
_BARE = r"offset_conv\d\.l\d|feat_conv\.l\d|cas_offset_conv\d"
_BARE_TSA = r"feat_fusion|spatial_attn[1-4]|spatial_attn_l\d|spatial_attn_add1"
RENAMES = (
    (r"^pcd_align\.", "pcd_alignment."),
    (rf"^(pcd_alignment\.(?:{_BARE})|fusion\.(?:{_BARE_TSA}))\.(weight|bias)$", r"\1.conv.\2"),
    (r"^conv_(l\d)_(\d)\.", r"feat_\1_conv\2.conv."),
    (r"^upconv(\d)\.", r"upsample\1.upsample_conv."),
)

# The names of EDVR's first code, which systems of NTIRE 2021 took over.
ORIGINAL_ALIGNMENT: Rules = (
    (r"l(\d)_offset(\d)", r"L\1_offset_conv\2"),
    (r"l(\d)_feature", r"L\1_fea_conv"),
    (r"cascade_offset(\d)", r"cas_offset_conv\1"),
    *(
        prefixed(ours, theirs, ((r"offset", "conv_offset_mask"), (r"conv", "")))
        for ours, theirs in ((r"l(\d)_deform", r"L\1_dcnpack"), (r"cascade_deform", "cas_dcnpack"))
    ),
)
# There the second convolution is that of the reference.
ORIGINAL_FUSION: Rules = (
    (r"temporal_reference", "tAtt_2"),
    (r"temporal_frames", "tAtt_1"),
    (r"fusion", "fea_fusion"),
    (r"spatial(\d)", r"sAtt_\1"),
    (r"level(\d)", r"sAtt_L\1"),
    (r"add(\d)", r"sAtt_add_\1"),
)
