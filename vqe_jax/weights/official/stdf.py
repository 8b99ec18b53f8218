"""STDF under the names of the released PyTorch code."""

from __future__ import annotations

from vqe_jax.models import fields
from vqe_jax.weights.conversion import Tensor, conv, conv_transpose

__all__ = ["enhancement", "fusion", "tensors"]


def fusion(path: str, key: str, depth: int) -> dict[str, Tensor]:
    """A :class:`vqe_jax.nn.stdf_fusion.STDFFusion`."""
    table = conv(f"{path}/in_conv", f"{key}.in_conv.0")
    for i in range(1, depth):
        table |= conv(f"{path}/down{i}_conv1", f"{key}.dn_conv{i}.0")
        table |= conv(f"{path}/down{i}_conv2", f"{key}.dn_conv{i}.2")
        table |= conv(f"{path}/up{i}_conv", f"{key}.up_conv{i}.0")
        table |= conv_transpose(f"{path}/up{i}_up", f"{key}.up_conv{i}.2")
    table |= conv(f"{path}/bottom_conv1", f"{key}.tr_conv.0")
    table |= conv(f"{path}/bottom_conv2", f"{key}.tr_conv.2")
    table |= conv_transpose(f"{path}/bottom_up", f"{key}.tr_conv.4")
    table |= conv(f"{path}/out_conv", f"{key}.out_conv.0")
    for name in ("offset_mask", "deform_conv"):
        table |= conv(f"{path}/{name}", f"{key}.{name}")
    return table


def enhancement(path: str, key: str, depth: int, stride: int = 2) -> dict[str, Tensor]:
    """The convolutions of a :class:`vqe_jax.nn.enhancement.PlainEnhancement`.

    Args:
      path: ours.
      key: theirs.
      depth: convolutions, the first and the last included.
      stride: entries of the official list for each hidden convolution (activations count).
    """
    table = conv(f"{path}/in_conv", f"{key}.in_conv.0") | conv(
        f"{path}/out_conv", f"{key}.out_conv"
    )
    for i in range(depth - 2):
        table |= conv(f"{path}/conv{i}", f"{key}.hid_conv.{stride * i}")
    return table


def tensors(**kwargs: object) -> dict[str, Tensor]:
    """Our variables and the official tensors they are; the arguments are the network's fields."""
    field = fields("stdf") | kwargs
    return fusion("fusion", "ffnet", field["depth"]) | enhancement(
        "enhancement", "qenet", field["qe_depth"]
    )
