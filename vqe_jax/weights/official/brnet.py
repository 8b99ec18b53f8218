"""BRNet under the names of the Ivp-tencent team."""

from typing import Any

from vqe_jax.weights.rules import Rules

__all__ = ["rules"]


def rules(*, blocks: int, **_: Any) -> Rules:
    """The body's last convolution is numbered after its blocks."""
    return (
        (r"(sub|add)_mean", r"\1_mean"),
        (r"(head|tail)", r"\1.0"),
        (r"block(\d+)_conv(\d)", lambda m: f"body.{m[1]}.body.{2 * int(m[2]) - 2}"),
        (r"body", f"body.{blocks}"),
    )
