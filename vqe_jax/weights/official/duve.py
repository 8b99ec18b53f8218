"""DUVE under the names of its authors' code (VIP&DJI, NTIRE 2021, track 3)."""

from typing import Any

from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["RCAB", "rules"]

# An RCAB as RCAN's first code has it: a sequence with its activation counted.
RCAB: Rules = (
    (r"conv1", "body.0"),
    (r"conv2", "body.2"),
    (r"attention/squeeze", "body.3.conv_du.0"),
    (r"attention/excite", "body.3.conv_du.2"),
)


def rules(*, blocks1: int, blocks2: int, **_: Any) -> Rules:
    """Ways up are numbered from the coarsest; what follows their blocks is counted on."""
    return (
        (r"conv_head", "unet1.conv_head.0"),
        (r"coarse_tail", "unet1.conv_tail"),
        (r"fine_tail", "unet2.qe_begin"),
        (r"(fuse|conv_tail)", r"\1"),
        prefixed(r"block(\d+)", r"unet2.qe_block.\1", RCAB),
        prefixed(r"coarse", "unet1", _unet(blocks1)),
        prefixed(r"fine", "unet2", _unet(blocks2)),
    )


def _unet(blocks: int) -> Rules:
    return (
        (r"strided(\d)", r"down.\1.dual_module.0.0"),
        (r"wider(\d)", r"down.\1.dual_module.1"),
        (r"up(\d)/shuffle", lambda m: f"up_blocks.{2 - int(m[1])}.{blocks}.0"),
        (r"up(\d)/narrow", lambda m: f"up_blocks.{2 - int(m[1])}.{blocks + 1}"),
        prefixed(r"up(\d)/block(\d+)", lambda m: f"up_blocks.{2 - int(m[1])}.{m[2]}", RCAB),
    )
