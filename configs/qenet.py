"""QENet of the NJU-Vision team (NTIRE 2021, section 4.9).

  python train.py --config configs/qenet.py --workdir runs/qenet
  python evaluate.py runs/qenet --dataset ldv --split test --self-ensemble

Seven frames, random flips and turns, evaluated as the mean over flips and rotations: that is all
that the report tells, and no training code is released. The squared error (a released file is
named after a loss of 0.00048, which reads like one), crops of 128, batch 16, Adam at 1e-4 that
falls along a cosine and 300,000 steps are our choice. The team also trained on SJTU's videos (add
them by `--config.data.config_name="('track1', 'clips/NAME')"`). Published gain in RGB on track 1:
1.24 dB. Several large GPUs.

Variants:
  track1, track3   HM at QP 37 (default: track1), x265 at 200 kbps
  small, demo      8 channels, 3 frames: minutes on two cores (data set `demo`)
"""

from typing import Any, Literal

from vqe_jax.recipes import common
from vqe_jax.recipes.common import variants
from vqe_jax.recipes.edvr import INIT, SMALL, regularizers

_SMALL = {**SMALL, "extraction_blocks": 2}


@variants
def get_config(
    track: Literal["track1", "track3"] = "track1", width: Literal["full", "small"] = "full"
) -> dict[str, Any]:
    """The recipe; variants as above."""
    if width == "small":
        init = (*INIT[:-1], ("conv_out/kernel$", "zeros"))
        # At the rate of the rest its offsets run away within a hundred steps.
        slow = (("/offset/", 0.1),)
        few = common.fast_stage("qenet", 500, init=init, rates=slow, ema=0.99)
        few["losses"] += regularizers(500)
        return common.small("qenet", _SMALL, few, data=common.demo(3, crop=32, color="rgb"))
    losses = (("l2", 1.0),)
    stage = common.stage("qenet", 300_000, losses=losses, schedule=common.cosine(1e-7))
    return common.run("qenet", {}, stage, data=common.ldv(track, frames=7, crop=128, batch=16))
