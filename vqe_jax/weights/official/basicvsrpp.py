"""BasicVSR++ (and ProVQE's first stage, the same tensors) under mmediting's and mmagic's names."""

from typing import Any

from vqe_jax.weights.official import basicvsr, spynet
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["DEAD", "RENAMES", "rules"]

_PASS = r"((?:backward|forward)_\d)"
DEAD = basicvsr.DEAD
RENAMES = spynet.RENAMES


def rules(*, upscale: int, **_: Any) -> Rules:
    """The same-size network has its two strided convolutions before the trunk's in one list."""
    trunk = "feat_extract.4" if upscale == 1 else "feat_extract"
    return (
        prefixed("spynet", "spynet", spynet.RULES),
        (r"shrink_(\d)", lambda m: f"feat_extract.{2 * int(m[1])}"),
        prefixed("extract", trunk, basicvsr.TRUNK),
        (
            rf"{_PASS}/align/offset(\d)",
            lambda m: f"deform_align.{m[1]}.conv_offset.{2 * int(m[2])}",
        ),
        (rf"{_PASS}/align/deform", r"deform_align.\1"),
        prefixed(rf"{_PASS}/trunk", r"backbone.\1", basicvsr.TRUNK),
        prefixed("reconstruction", "reconstruction", basicvsr.TRUNK),
        (r"upsample_(\d)/conv", lambda m: f"upsample{int(m[1]) + 1}.upsample_conv"),
        (r"(conv_hr|conv_last)", r"\1"),
    )
