"""RFDA and its parts under the names of the released PyTorch code."""

from __future__ import annotations

from vqe_jax.errors import UserError
from vqe_jax.models import fields
from vqe_jax.nn.enhancement import ATTENTIONS
from vqe_jax.weights.conversion import Tensor, conv
from vqe_jax.weights.official.stdf import enhancement, fusion

__all__ = ["attention", "tensors"]

_OFFSETS = ("conv_max", "conv3", "conv3_", "mask", "mask2")


def attention(
    path: str, key: str, *, deformable: bool = True, channel: bool = True
) -> dict[str, Tensor]:
    """A :class:`vqe_jax.nn.deformable_attention.DSTA`."""
    names = ("conv1", "conv2", "conv_f", "conv4", "dcn", *(_OFFSETS if deformable else ()))
    table: dict[str, Tensor] = {}
    for name in names:
        table |= conv(f"{path}/{name}", f"{key}.{name}")
    if deformable:
        table |= conv(f"{path}/down_conv2", f"{key}.down_conv2.0")
    if channel:
        table |= conv(f"{path}/squeeze", f"{key}.conv_du.0")
        table |= conv(f"{path}/excite", f"{key}.conv_du.2")
    return table


def tensors(**kwargs: object) -> dict[str, Tensor]:
    """Our variables and the official tensors they are; the arguments are the network's fields."""
    field = fields("rfda") | kwargs
    if field["recursive_fusion"] == "conv_lstm":
        raise UserError("rfda: recursive_fusion='conv_lstm' was never released; no names to use")
    table = fusion("fusion", "ffnet", field["depth"])
    if field["recursive_fusion"] == "rf":
        table |= fusion("recursion/align", "wpnet", field["depth"])
        table |= conv("recursion/fuse1", "fuse.0") | conv("recursion/fuse2", "fuse.2")
    parts = ATTENTIONS[field["attention"]]
    stride = 2 if parts is None else 3
    table |= enhancement("enhancement", "qenet", field["qe_depth"], stride)
    if parts is not None:
        for i in range(field["qe_depth"] - 2):
            table |= attention(f"enhancement/attention{i}", f"qenet.hid_conv.{3 * i + 2}", **parts)
    return table
