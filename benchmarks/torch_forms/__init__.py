"""The registered networks in PyTorch, for the benchmarks alone, with the parameters of ours.

Clips ``[b, t, c, h, w]`` in, the same out; what ours make of a frame on its own is made once a clip
here too. Deformable convolutions are torchvision's, or ``grid_sample`` where that is not installed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.torch_forms import edvr, flow, frames, stdf, unets
from benchmarks.torch_forms.parts import Form
from benchmarks.torch_forms.stdf_official import TorchRFDA, TorchSTDF, through_time
from benchmarks.torch_forms.vig import TorchVIG
from vqe_jax import weights
from vqe_jax.models import Network, Side

__all__ = ["NAMES", "torch_network"]

# By the names of the registry.
_FORMS: dict[str, type[Form]] = {
    "arcnn": frames.ARCNN,
    "astf": flow.ASTF,
    "basicvsr": flow.BasicVSR,
    "basicvsrpp": flow.BasicVSRPlusPlus,
    "block2rock": unets.Block2Rock,
    "bluedot": unets.Bluedot,
    "brnet": frames.BRNet,
    "cfstif": stdf.CFSTIF,
    "cvqenet": edvr.CVQENet,
    "dcad": frames.DnCNN,
    "dcngan": stdf.DCNGAN,
    "dncnn": frames.DnCNN,
    "duve": unets.DUVE,
    "edvr": edvr.EDVR,
    "gogoing": edvr.Gogoing,
    "mfqe": flow.MFQE,
    "mgbp3d": unets.MGBP3D,
    "noahtcv": unets.NOAHTCV,
    "ovqe": flow.OVQE,
    "pen": stdf.PEN,
    "pequenet": unets.PeQuENet,
    "provqe": flow.BasicVSRPlusPlus,
    "psmgf": stdf.PSMGF,
    "qecnn": frames.QECNN,
    "qenet": edvr.QENet,
    "rcan_a": frames.RCANA,
    "rcvn": edvr.RCVN,
    "repnet": frames.RepNet,
    "shannonnet": unets.ShannonNet,
    "smgf": stdf.SMGF,
    "stdr": stdf.STDR,
    "tim": edvr.TIM,
}

NAMES = (*_FORMS, "rfda", "stdf", "vig")


class _Official(nn.Module):
    """STDF or RFDA under the released names, for clips ``[b, t, 1, h, w]``."""

    def __init__(self, name: str, variables: Any) -> None:
        super().__init__()
        self.inner = TorchSTDF() if name == "stdf" else TorchRFDA()
        tensors = weights.to_torch(name, variables)
        self.inner.load_state_dict({k: torch.tensor(v) for k, v in tensors.items()})

    def forward(self, clip: torch.Tensor) -> torch.Tensor:
        """Every frame."""
        return through_time(self.inner, clip[:, :, 0])[:, :, None]


def torch_network(
    name: str, network: Network, variables: Any, side: Side, length: int
) -> nn.Module:
    """The PyTorch form of a network, with our parameters.

    Args:
      name: one of ``NAMES``.
      network: ours, in the form that the PyTorch code knows (the registry's default).
      variables: ours.
      side: what is told of the clip.
      length: frames of the clip.
    """
    if name in ("stdf", "rfda"):
        return _Official(name, variables)
    if name == "vig":
        module = TorchVIG(network.width, network.down_widths, network.temporal_kernels)
        module.load(variables["params"])
        return module
    return _FORMS[name](network, _on_host(variables), _on_host(side), length)


def _on_host(tree: Any) -> Any:
    import jax

    return jax.tree.map(np.asarray, tree)
