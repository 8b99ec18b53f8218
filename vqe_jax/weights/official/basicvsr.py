"""BasicVSR as mmediting and mmagic name it; BasicSR's spelling is understood too."""

from __future__ import annotations

import math
import re

from vqe_jax.models import fields
from vqe_jax.weights.conversion import Tensor, conv, prefixed
from vqe_jax.weights.official import spynet

__all__ = ["IGNORED", "rename", "tensors"]

# Normalisation constants, the trainer's counter, and a second (averaged) copy of the weights.
IGNORED = (*spynet.IGNORED, r"^step_counter$", r"^generator_ema\.", r"^data_preprocessor\.")


def rename(key: str) -> str:
    """A tensor's name in mmediting's spelling.

    Example:
      >>> rename("forward_trunk.main.0.weight"), rename("upconv1.bias")
      ('forward_resblocks.main.0.weight', 'upsample1.upsample_conv.bias')
    """
    key = re.sub(r"^(backward|forward)_trunk\.", r"\1_resblocks.", key)
    key = re.sub(r"^upconv(\d)\.", r"upsample\1.upsample_conv.", key)
    return spynet.rename(key)


def trunk(path: str, key: str, blocks: int) -> dict[str, Tensor]:
    """A :class:`vqe_jax.nn.residual.ResidualTrunk`."""
    table = conv(f"{path}/conv", f"{key}.main.0")
    for i in range(blocks):
        for name in ("conv1", "conv2"):
            table |= conv(f"{path}/blocks/block{i}/{name}", f"{key}.main.2.{i}.{name}")
    return table


def tensors(**kwargs: object) -> dict[str, Tensor]:
    """Our variables and the official tensors they are; the arguments are the network's fields."""
    field = fields("basicvsr") | kwargs
    flow = spynet.tensors(levels=field["flow_levels"], widths=field["flow_widths"])
    table = prefixed(flow, "spynet", "spynet.")
    for direction in ("backward", "forward"):
        table |= trunk(f"{direction}_trunk", f"{direction}_resblocks", field["blocks"])
    for i in range(int(math.log2(field["upscale"]))):
        table |= conv(f"upsample_{i}/conv", f"upsample{i + 1}.upsample_conv")
    for name in ("fusion", "conv_hr", "conv_last"):
        table |= conv(name, name)
    return table
