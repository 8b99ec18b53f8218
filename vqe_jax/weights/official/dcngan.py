"""DCNGAN's generator under the names of SaipingZhang/DCNGAN."""

from vqe_jax.weights.official.stdf import FUSION
from vqe_jax.weights.rules import Rules, prefixed

__all__ = ["RULES"]

GENERATOR: Rules = (
    (r"conv_in", "model.1"),
    (r"norm_in", "model.2"),
    (r"down(\d)", lambda m: f"model.{3 * int(m[1]) + 1}"),
    (r"down_norm(\d)", lambda m: f"model.{3 * int(m[1]) + 2}"),
    # A transposed convolution of stride one is a convolution with its taps turned round.
    (r"up(\d)", lambda m: f"model{4 - int(m[1])}.0", "conv_transpose"),
    (r"up_norm(\d)", lambda m: f"model{4 - int(m[1])}.1"),
    (r"block(\d+)/conv1", r"resB\1.conv_block.1"),
    (r"block(\d+)/norm1", r"resB\1.norm_layer"),
    (r"block(\d+)/conv2", r"resB\1.conv_block2.1"),
    (r"block(\d+)/norm2", r"resB\1.conv_block2.2"),
    (r"conv_out", "model5.1"),
    (r"conditioning/dense", "fc.0"),
)
RULES: Rules = (prefixed("fusion", "FA", FUSION), prefixed("generator", "QE", GENERATOR))
