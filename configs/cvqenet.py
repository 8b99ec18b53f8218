"""CVQENet of the VIP&DJI team (NTIRE 2021, section 4.12, track 1).

  python -m vqe_jax.data ldv --data-dir data --help
  python train.py --config configs/cvqenet.py --workdir runs/cvqenet
  python evaluate.py runs/cvqenet --dataset ldv --split test --self-ensemble

Five frames, L1 loss, evaluated with flips and rotations, as the report has them; it names neither
crop, batch, optimizer nor length, and no training code was released. These are ours: crops of 128,
batch 16, Adam at 1e-4 that falls along a cosine, 300,000 steps. Published on track 1: 31.65 dB in
RGB, where the compressed videos have 30.54 dB, trained with the team's SkyPixel clips beside LDV.
Several large GPUs.

Variants:
  track1, track3   HM at QP 37 (default: track1, the team's), x265 at 200 kbps
  gated            the released code's other class, with spatial gates in its residual blocks
  small, demo      8 features: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.recipes.edvr import INIT

_SMALL = {"features": 8, "front_blocks": 1, "back_blocks": 2, "deform_groups": 2}


@variants
def get_config(
    track: Literal["track1", "track3"] = "track1",
    gated: bool = False,
    width: Literal["full", "small"] = "full",
) -> dict[str, Any]:
    """The recipe; variants as above."""
    fields = {"spatial_gate": gated}
    if width == "small":
        init = (*INIT, (r"gate[^/]*/", "keep"))  # along the channels: no place to keep a variance
        few = common.fast_stage("cvqenet", 400, 1e-3, init=init, ema=0.99)
        data = common.demo(5, crop=32, batch=4, color="rgb")
        return common.small("cvqenet", fields | _SMALL, few, data=data)
    return published("cvqenet", fields, track, "l1")


def published(model: str, fields: dict[str, Any], track: str, loss: str) -> dict[str, Any]:
    """The team's frames and loss; the rest of it was never said."""
    stage = common.annealed(model, 300_000, losses=((loss, 1.0),))
    return common.run(model, fields, stage, data=common.ldv(track, frames=5, crop=128, batch=16))
