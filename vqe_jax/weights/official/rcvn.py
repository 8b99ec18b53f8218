"""RCVN under the names of the HNU_CVers team."""

from typing import Any

from vqe_jax.weights.official import edvr, rcan_a
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["rules"]


def rules(*, blocks: int, **_: Any) -> Rules:
    """A group's last convolution is numbered after its blocks."""
    return (
        prefixed("rcan_a", "rcan_a", rcan_a.rules(blocks=blocks)),
        (r"pair", "align_1"),
        (r"pair_blocks/block(\d+)/(conv\d)", r"align_2.\1.\2"),
        prefixed("fusion", "TSAFusion", edvr.TSA),
        prefixed("trunk", "recon_trunk3", rcan_a.groups(blocks)),
        (r"conv_last", "conv_last2"),
    )
