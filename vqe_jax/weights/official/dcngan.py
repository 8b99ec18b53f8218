"""Official names of DCNGAN's generator (SaipingZhang/DCNGAN)."""

from __future__ import annotations

from typing import Any

from vqe_jax.models import fields
from vqe_jax.weights.conversion import Tensor, batch_norm, conv, conv_transpose, linear
from vqe_jax.weights.official.stdf import fusion

__all__ = ["IGNORED", "tensors"]

IGNORED = (r"num_batches_tracked$",)


def tensors(**kwargs: Any) -> dict[str, Tensor]:
    """Which official tensor each of the generator's variables is.

    Args:
      **kwargs: fields of the network.
    """
    network = fields("dcngan") | kwargs
    table = fusion("fusion", "FA", network["fusion_depth"])
    table |= conv("generator/conv_in", "QE.model.1")
    table |= batch_norm("generator/norm_in", "QE.model.2")
    for i in (1, 2, 3):
        table |= conv(f"generator/down{i}", f"QE.model.{3 * i + 1}")
        table |= batch_norm(f"generator/down_norm{i}", f"QE.model.{3 * i + 2}")
        # A transposed convolution of stride one is a convolution with its taps turned round.
        table |= conv_transpose(f"generator/up{3 - i}", f"QE.model{i + 1}.0")
        table |= batch_norm(f"generator/up_norm{3 - i}", f"QE.model{i + 1}.1")
    for i in range(network["blocks"]):
        ours, theirs = f"generator/block{i}", f"QE.resB{i}"
        table |= conv(f"{ours}/conv1", f"{theirs}.conv_block.1")
        table |= batch_norm(f"{ours}/norm1", f"{theirs}.norm_layer")
        table |= conv(f"{ours}/conv2", f"{theirs}.conv_block2.1")
        table |= batch_norm(f"{ours}/norm2", f"{theirs}.conv_block2.2")
    table |= conv("generator/conv_out", "QE.model5.1")
    if network["qp_conditioning"]:
        table |= linear("generator/conditioning/dense", "QE.fc.0")
    return table
