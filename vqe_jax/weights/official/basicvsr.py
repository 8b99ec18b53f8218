"""BasicVSR under mmediting's and mmagic's names; BasicSR's are understood too."""

from vqe_jax.weights.official import spynet
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["DEAD", "RENAMES", "RULES", "TRUNK"]

# A ResidualTrunk.
TRUNK: Rules = ((r"conv", "main.0"), (r"blocks/block(\d+)/(conv\d)", r"main.2.\1.\2"))
RULES: Rules = (
    prefixed("spynet", "spynet", spynet.RULES),
    prefixed(r"(backward|forward)_trunk", r"\1_resblocks", TRUNK),
    (r"upsample_(\d)/conv", lambda m: f"upsample{int(m[1]) + 1}.upsample_conv"),
    (r"(fusion|conv_hr|conv_last)", r"\1"),
)
# The trainer's counter, and a second (averaged) copy of the weights.
DEAD = (*spynet.DEAD, r"(^|\.)step_counter$", r"^generator_ema\.", r"^data_preprocessor\.")
RENAMES = (
    (r"\b(backward|forward)_trunk\.", r"\1_resblocks."),
    (r"\bupconv(\d)\.", r"upsample\1.upsample_conv."),
    *spynet.RENAMES,
)
