"""RCAN_A under the names of the HNU_CVers team."""

from typing import Any

from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["groups", "rules"]

_BLOCK: Rules = (
    (r"conv(\d)", lambda m: f"{2 * int(m[1]) - 2}"),
    (r"attention/squeeze", "3.module.1"),
    (r"attention/excite", "3.module.3"),
)


def groups(blocks: int) -> Rules:
    """A ResidualGroups of groups of so many blocks."""
    return (
        prefixed(r"group(\d+)/block(\d+)", r"rg.\1.module.\2.module", _BLOCK),
        (r"group(\d+)/conv", rf"rg.\1.module.{blocks}"),
        (r"conv", "recons"),
    )


def rules(*, blocks: int, **_: Any) -> Rules:
    """A group's last convolution is numbered after its blocks."""
    return ((r"(conv_first|conv_last)", r"\1"), prefixed("trunk", "recon_trunk", groups(blocks)))
