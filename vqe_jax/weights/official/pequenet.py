"""Official names of PeQuENet's generator (SaipingZhang/PeQuENet), VGG included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vqe_jax.errors import UserError
from vqe_jax.models import fields
from vqe_jax.nn.vgg import torchvision_indices
from vqe_jax.weights.conversion import Tensor, conv, linear

__all__ = ["tensors"]

# The released code keeps the VGG in slices, each named after the activation that ends it.
_SLICES = {
    "vgg19": ("1_1", "2_1", "3_1", "4_1", "5_1", "5_4"),
    "vgg16": ("1_1", "2_1", "3_1", "4_1", "5_1", "5_3"),
}
_HEAD = {
    "conv_in": "in_conv",
    "conv_hidden1": "hid_conv1",
    "conv_hidden2": "hid_conv2",
    "conv_out": "out_conv",
}


def _vgg(backbone: str) -> dict[str, Tensor]:
    table: dict[str, Tensor] = {}
    slices = list(_SLICES[backbone])
    for name, index in torchvision_indices(int(backbone[3:])).items():
        key = f"features.to_relu_{slices[0]}.{index}"
        table |= conv(f"vgg/{name}", key, collection="frozen")
        if name == f"conv{slices[0]}":
            slices.pop(0)
        if not slices:
            break
    return table


def _branch(side: str, depths: Sequence[int]) -> dict[str, Tensor]:
    table: dict[str, Tensor] = {}
    for level in (4, 3, 2, 1):
        for i in (1, 2):
            table |= conv(f"{side}/dec{level}/conv{i}", f"dec{level}_{side}.conv{i}")
    for depth in depths:
        for ours, official in (("target", "tgt"), ("reference", "ref")):
            key = f"att{depth}_{side}.proj_{official}"
            table |= conv(f"{side}/align{depth}/proj_{ours}", key)
    return table


def tensors(**kwargs: Any) -> dict[str, Tensor]:
    """Which official tensor each of the generator's variables is.

    Args:
      **kwargs: fields of the network.

    Raises:
      UserError: another alignment than attention, which the released code does not have.
    """
    network = fields("pequenet") | kwargs
    if network["alignment"] != "attention":
        raise UserError(
            f"pequenet: alignment={network['alignment']!r} has no official weights; only "
            "'attention' was released"
        )
    table = _vgg(network["backbone"])
    for side in ("minus", "plus"):
        table |= _branch(side, network["attention_depths"])
    for ours, official in _HEAD.items():
        table |= conv(f"head/{ours}", f"QENet.{official}")
    if network["qp_conditioning"]:
        table |= linear("head/conditioning/dense", "QENet.fc.0")
    return table
