"""OVQE under the names of pengliuhan/OVQE."""

from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["DEAD", "RULES"]

# A Merge; its PReLU has one slope.
_MERGE: Rules = (
    (r"squeeze", "conv_du.0"),
    (r"prelu", "conv_du.1"),
    (r"excite(\d)", r"fcs.\1"),
)
_UNET: Rules = (
    (r"down(\d)", r"Down0_\1.0"),
    (r"conv(\d)", r"conv0_\1.conv1"),
    (r"up(\d)", lambda m: f"Up{int(m[1]) + 1}.0", "conv_transpose"),
    prefixed("merge", "SKFF_1", _MERGE),
)
_FUSION: Rules = (
    (r"(in|out)_conv", r"\1_conv.0"),
    prefixed("unet", "unet", _UNET),
    (r"(offset_mask|deform_conv)", r"\1"),
)
_FREQUENCY: Rules = (
    (r"narrow", "decrease_dim"),
    (r"(high|mid|low)", r"\1_freq.0"),
    (r"refine(\d)", lambda m: f"dcn_{int(m[1]) + 1}.0"),
    prefixed(r"merge(\d)", lambda m: f"SKFF_{int(m[1]) + 1}", _MERGE),
    (r"attention/squeeze", "se.module.1"),
    (r"attention/excite", "se.module.3"),
)
RULES: Rules = (
    prefixed("window_fusion", "stff", _FUSION),
    prefixed(r"((first|second)_(backward|forward))", r"\1", _FUSION),
    prefixed("frequency", "ofae", _FREQUENCY),
    (r"reconstruction/conv_in", "qenet.in_conv.0"),
    prefixed(r"reconstruction/block(\d+)", r"qenet.reconstruct.\1", _FREQUENCY),
    (r"reconstruction/conv_last", "qenet.out_conv"),
)
# The U-Nets own a second merge and call the first one twice.
DEAD = (r"\.unet\.SKFF_2\.",)
