"""MFQE 2.0 (Guan et al., TPAMI 2021) as PowerQE trains it, with SPyNet.

  python train.py --config configs/mfqe.py --workdir runs/mfqe
  python enhance.py IN.mp4 OUT.mp4 --model runs/mfqe --peaks qp

Each frame with the peak-quality frames before and after it. PowerQE's recipe: RGB crops of 256,
batch 16, Adam at 1e-4 that falls along a cosine, Charbonnier loss, 500,000 steps. Published by
PowerVQE, trained on LDV 2.0 with every fourth frame as a peak: 0.756 dB in RGB on that set's 15
test videos, 0.665 dB in Y on 16 of the JCT-VC sequences. It wants a GPU.

Variants:
  spynet=PATH   official SPyNet weights, from which PowerQE starts
  paper         the paper's training on luma at QP 37: crops of 64, batch 64; first the motion
                compensation (the picture counts a hundredth), then the picture (the motion a
                hundredth), in the paper's proportion of 20 to 60 epochs
  baseline      the flow and the network of the baseline of NTIRE 2021 (MFQE 1.0's), trained so
  small, demo   8 channels and a narrow flow: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import basicvsr, common
from vqe_jax.recipes.common import variants

_SMALL = {"features": 8, "flow_widths": (8, 8)}
_BASELINE = {"flow": "pyramid", "net": "pairs"}


def _losses(motion: float, picture: float) -> tuple[Any, ...]:
    """Squared errors of the aligned peaks and of the picture, both against the ground truth."""
    return (("motion_compensation", motion, {}, "aligned"), ("l2", picture))


def _two_stages() -> tuple[dict[str, Any], ...]:
    first = common.stage("motion", 100_000, losses=_losses(1.0, 0.01))
    second = common.stage("picture", 300_000, losses=_losses(0.01, 1.0), start="previous")
    return first, second


@variants
def get_config(
    net: Literal["powerqe", "paper", "baseline"] = "powerqe",
    spynet: str = "",
    width: Literal["full", "small"] = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        init = (("^spynet/", "keep"),)  # no motion at first
        return common.small_frames("mfqe", _SMALL, 800, init=init, last="enhancement/conv5")
    if net == "paper":
        data = common.mfqe_v2(frames=1, crop=64, batch=64)
        return common.run("mfqe", {"channels": 1}, *_two_stages(), data=data)
    if net == "baseline":
        data = common.ldv(frames=1, crop=64, batch=64)
        return common.run("mfqe", _BASELINE, *_two_stages(), data=data)
    return common.powerqe("mfqe", {}, video=True, **basicvsr.flow_start(spynet))
